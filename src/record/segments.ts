import { createReadStream, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_LINE_BYTES } from './line.ts'

/** A file of the log; `first` is the `seq` of its first record, and its name. */
export type SegmentName = { readonly name: string; readonly first: number }

/** Bytes up to a newline. `ended` false: the file stops before one, or the line is longer than a record can be. */
export type RawLine = {
  readonly bytes: Buffer
  /** From 1. */
  readonly number: number
  /** Of its first byte in the file. */
  readonly offset: number
  readonly ended: boolean
}

const NAME = /^(\d{12})\.log$/
const NEWLINE = 0x0a

export function segmentName(first: number): string {
  return `${String(first).padStart(12, '0')}.log`
}

/** In the order of the log; empty when there is no such directory. */
export function listSegments(dir: string): readonly SegmentName[] {
  return names(dir)
    .map((name) => ({ name, first: Number(NAME.exec(name)?.[1] ?? Number.NaN) }))
    .filter(({ first }) => !Number.isNaN(first))
    .sort((a, b) => a.first - b.first)
}

function names(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** The lines of one segment, as many at a time as one read gave: memory stays constant however big the file is. */
export async function* readLines(dir: string, name: string): AsyncGenerator<readonly RawLine[], void> {
  let pieces: Buffer[] = []
  let kept = 0
  let position = { number: 1, offset: 0 }
  for await (const chunk of createReadStream(join(dir, name), { highWaterMark: 256 * 1024 })) {
    pieces.push(chunk as Buffer)
    kept += (chunk as Buffer).length
    if (!(chunk as Buffer).includes(NEWLINE) && kept <= MAX_LINE_BYTES) continue
    const split = splitLines(Buffer.concat(pieces, kept), position)
    yield split.lines
    position = split.position
    pieces = [split.rest]
    kept = split.rest.length
    if (kept > MAX_LINE_BYTES) break
  }
  if (kept > 0) yield [{ bytes: Buffer.concat(pieces, kept), ...position, ended: false }]
}

type Position = { readonly number: number; readonly offset: number }

function splitLines(bytes: Buffer, start: Position): { lines: RawLine[]; rest: Buffer; position: Position } {
  const lines: RawLine[] = []
  let from = 0
  let number = start.number
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
    lines.push({ bytes: bytes.subarray(from, end), number, offset: start.offset + from, ended: true })
    from = end + 1
    number += 1
  }
  return { lines, rest: bytes.subarray(from), position: { number, offset: start.offset + from } }
}
