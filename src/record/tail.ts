import { join } from 'node:path'
import { Fault } from '../gateway/fault.ts'
import type { SegmentStarted } from './entry.ts'
import type { LogFiles } from './files.ts'
import { encodeMembers } from './encode-entry.ts'
import { encodeLine } from './line.ts'
import type { Head } from './line.ts'
import { segmentName } from './segments.ts'

/** Where a record lies: file, offset and length in bytes, its newline included. */
export type Place = { readonly segment: string; readonly offset: number; readonly length: number }

/** The members of a record (see `encodeMembers`), of which some hang on the record that it will follow. */
export type Draft = (head: Head) => string

export type TailOptions = {
  readonly dir: string
  readonly files: LogFiles
  readonly segmentBytes: number
  readonly installation: string
  readonly replica: string
  readonly head: Head
  /** The file to go on with; none: the next write makes one. */
  readonly segment?: { readonly name: string; readonly length: number }
}

/** The writable end of a log. One writer; nothing here waits except `sync`, of which only one may run at a time. */
export interface Tail {
  head(): Head
  /**
   * All of these members as consecutive records with one write(2), or none: on a failure the file is cut back to its last
   * good length and Fault `unrecordable` is thrown; the next call tries again.
   */
  write(at: string, drafts: readonly (string | Draft)[]): readonly Place[]
  /** The segment has its size: the next `sync` ends it. */
  isFull(): boolean
  /** Makes what was written before the call durable. After a failure (Fault `unrecordable`) a new segment is begun. */
  sync(): Promise<void>
  close(): void
}

type Segment = {
  readonly name: string
  readonly fd: number
  /** Bytes of whole records. */
  length: number
  /** A failed write may have left bytes after `length`. */
  torn: boolean
}

type Next = Pick<SegmentStarted, 'reason' | 'unsynced_from'>

export function openTail(options: TailOptions): Tail {
  const { files } = options
  let head = options.head
  let segment = options.segment && reopen(options, options.segment)
  let next: Next = { reason: head.seq === 0 ? 'new' : 'full' }
  let syncedSeq = head.seq

  function write(at: string, drafts: readonly (string | Draft)[]): readonly Place[] {
    try {
      segment ??= create(options, head)
      const isNew = segment.length === 0
      const batch = encodeBatch(head, at, isNew ? [headerDraft(options, next), ...drafts] : drafts)
      writeWhole(files, segment, batch.bytes)
      const places = placesOf(segment, batch.lengths)
      segment.length += batch.bytes.length
      head = batch.head
      return isNew ? places.slice(1) : places
    } catch (error) {
      throw new Fault('unrecordable', 'the log cannot be written', error)
    }
  }

  async function sync(): Promise<void> {
    try {
      if (segment && segment.length > 0) await syncSegment(segment)
    } catch (error) {
      throw new Fault('unrecordable', 'the log cannot be made durable', error)
    }
  }

  async function syncSegment({ fd }: Segment): Promise<void> {
    const { seq } = head
    try {
      await files.sync(fd)
      syncedSeq = seq
      if (!isFull()) return
      if (head.seq > syncedSeq) files.syncNow(fd)
      syncedSeq = head.seq
    } catch (error) {
      retire({ reason: 'sync failed', unsynced_from: syncedSeq + 1 })
      throw error
    }
    retire({ reason: 'full' })
  }

  function isFull(): boolean {
    return segment !== undefined && segment.length >= options.segmentBytes
  }

  function retire(why: Next): void {
    const old = segment
    segment = undefined
    next = why
    if (old) files.close(old.fd)
  }

  return { head: () => head, write, isFull, sync, close: () => retire(next) }
}

function reopen(options: TailOptions, segment: { readonly name: string; readonly length: number }): Segment {
  return { ...segment, fd: options.files.open(join(options.dir, segment.name)), torn: false }
}

/** The name is durable before anything in the file can be said to be. */
function create(options: TailOptions, head: Head): Segment {
  const name = segmentName(head.seq + 1)
  const path = join(options.dir, name)
  const fd = options.files.create(path)
  try {
    options.files.syncDirectory(options.dir)
    return { name, fd, length: 0, torn: false }
  } catch (error) {
    options.files.close(fd)
    options.files.remove(path)
    throw error
  }
}

function headerDraft(options: TailOptions, next: Next): Draft {
  const { installation, replica } = options
  return (head) => encodeMembers({ type: 'log.segment', installation, replica, previous: head.hash, ...next })
}

type Batch = { readonly bytes: Buffer; readonly lengths: readonly number[]; readonly head: Head }

function encodeBatch(start: Head, at: string, drafts: readonly (string | Draft)[]): Batch {
  let head = start
  const lines: string[] = []
  for (const draft of drafts) {
    const record = encodeLine(head, at, typeof draft === 'string' ? draft : draft(head))
    head = record.head
    lines.push(record.line)
  }
  const text = lines.join('')
  const bytes = Buffer.from(text)
  const isAscii = bytes.length === text.length
  return { bytes, lengths: lines.map((line) => (isAscii ? line.length : Buffer.byteLength(line))), head }
}

function placesOf(segment: Segment, lengths: readonly number[]): readonly Place[] {
  let offset = segment.length
  return lengths.map((length) => {
    const place = { segment: segment.name, offset, length }
    offset += length
    return place
  })
}

/** Every byte after the segment's good length, or (after an error) none of them, so that no half line precedes a good one. */
function writeWhole(files: LogFiles, segment: Segment, bytes: Buffer): void {
  if (segment.torn) cutBack(files, segment)
  try {
    for (let done = 0; done < bytes.length;) {
      const count = writeOnce(files, segment, bytes.subarray(done), segment.length + done)
      if (count <= 0) throw new Error('the disk took no bytes')
      done += count
    }
  } catch (error) {
    segment.torn = true
    cutBack(files, segment)
    throw error
  }
}

function writeOnce(files: LogFiles, segment: Segment, bytes: Buffer, position: number): number {
  for (;;) {
    try {
      return files.write(segment.fd, bytes, position)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw error
    }
  }
}

function cutBack(files: LogFiles, segment: Segment): void {
  files.truncate(segment.fd, segment.length)
  segment.torn = false
}
