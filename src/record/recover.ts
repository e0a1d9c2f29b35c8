import { hash } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { Fault } from '../gateway/fault.ts'
import { isSigned } from './checkpoint.ts'
import type { LogRecovered } from './entry.ts'
import type { LogFiles } from './files.ts'
import { follows, parseLine, readLine, START } from './line.ts'
import type { Head, Line } from './line.ts'
import { listSegments, readLines } from './segments.ts'
import type { RawLine, SegmentName } from './segments.ts'

/** Where the log goes on, and what a crash had left after that. */
export type Recovered = {
  readonly head: Head
  readonly segment?: { readonly name: string; readonly length: number }
  readonly torn?: LogRecovered
}

const KEPT_BYTES = 64 * 1024

/**
 * Checks the last segment and cuts off an incomplete last record. Throws Fault `unrecordable`, naming the record, when
 * anything before the last line does not verify.
 */
export async function recoverLog(dir: string, files: LogFiles, publicKey: KeyObject): Promise<Recovered> {
  let torn: LogRecovered | undefined
  for (const name of listSegments(dir).toReversed()) {
    const end = await readEnd(dir, name, publicKey)
    torn = cutOff(dir, name, end, files) ?? torn
    if (end.length > 0)
      return { head: end.head, segment: { name: name.name, length: end.length }, ...(torn && { torn }) }
    // Made, but not one whole record written to it: the crash came in between.
    files.remove(join(dir, name.name))
    files.syncDirectory(dir)
  }
  return { head: START, ...(torn && { torn }) }
}

/** The end of the good records of a segment. */
type End = { readonly head: Head; readonly length: number }

async function readEnd(dir: string, name: SegmentName, publicKey: KeyObject): Promise<End> {
  let end: End = { head: START, length: 0 }
  let bad: RawLine | undefined
  for await (const lines of readLines(dir, name.name)) {
    for (const raw of lines) {
      if (bad) throw unverified(name, bad, end)
      const line = raw.ended ? readLine(raw.bytes) : undefined
      const head = end.length === 0 && line ? startOf(name, line) : end.head
      if (line && head && follows(head, line)) {
        if (!isSound(line, head, publicKey)) throw unverified(name, raw, end)
        end = { head: { seq: line.seq, hash: line.hash }, length: raw.offset + raw.bytes.length + 1 }
      } else bad = raw
    }
  }
  if (bad && !isLast(join(dir, name.name), bad)) throw unverified(name, bad, end)
  return end
}

/** False for a line too long for a record, of which only the beginning was read. */
function isLast(path: string, line: RawLine): boolean {
  return statSync(path).size === line.offset + line.bytes.length + (line.ended ? 1 : 0)
}

/** What the segment's first record says it follows; undefined when it is not such a record. */
function startOf(name: SegmentName, line: Line): Head | undefined {
  const started = parseLine(line)
  if (started?.type !== 'log.segment' || line.seq !== name.first || (line.seq === 1 && started.previous !== START.hash))
    return undefined
  return { seq: line.seq - 1, hash: started.previous }
}

/** Whether a checkpoint vouches for the record before it; other records pass. */
function isSound(line: Line, previous: Head, publicKey: KeyObject): boolean {
  if (line.type !== 'checkpoint') return true
  const checkpoint = parseLine(line)
  if (checkpoint?.type !== 'checkpoint') return false
  return checkpoint.upto === previous.seq && checkpoint.head === previous.hash && isSigned(publicKey, checkpoint)
}

function unverified(name: SegmentName, bad: RawLine, end: End): Fault {
  const seq = end.length === 0 ? name.first : end.head.seq + 1
  return new Fault('unrecordable', `record ${seq} (${name.name}, line ${bad.number}) does not verify: see audit verify`)
}

function cutOff(dir: string, name: SegmentName, end: End, files: LogFiles): LogRecovered | undefined {
  const path = join(dir, name.name)
  const size = statSync(path).size - end.length
  if (size === 0) return undefined
  const bytes = readBytes(path, end.length, size)
  const fd = files.open(path)
  try {
    files.truncate(fd, end.length)
    files.syncNow(fd)
  } finally {
    files.close(fd)
  }
  const kept = bytes.subarray(0, KEPT_BYTES).toString('base64')
  return { type: 'log.recovered', torn: size, digest: hash('sha256', bytes, 'hex'), bytes: kept }
}

function readBytes(path: string, position: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  const fd = openSync(path, 'r')
  try {
    const count = readSync(fd, bytes, 0, size, position)
    return bytes.subarray(0, count)
  } finally {
    closeSync(fd)
  }
}
