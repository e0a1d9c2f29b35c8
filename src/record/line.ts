import { createHash, hash } from 'node:crypto'
import type { StoredEntry } from './entry.ts'

/** The last record of a log: what the next one is chained to. */
export type Head = { readonly seq: number; readonly hash: string }

/** Before the first record. */
export const START: Head = { seq: 0, hash: '0'.repeat(64) }

/** Longest line in bytes, the newline not counted: the writer refuses more, and a reader need not keep more in memory. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024

/** One line of the log, taken apart but not yet checked against the one before it. */
export type Line = {
  readonly seq: number
  readonly at: string
  readonly type: string
  /** The hash it claims, 64 hex digits. */
  readonly hash: string
  /** The bytes that the hash covers, after the previous hash. */
  readonly body: Buffer
}

const TAIL_BYTES = ',"hash":"'.length + 64 + '"}'.length
const HEAD = /^\{"v":1,"seq":([1-9]\d{0,14}),"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","type":"([a-z.]+)"/
const TAIL = /^,"hash":"([0-9a-f]{64})"\}$/

/** The record after `head` as a line with its newline, and the head it makes (docs/reference/records.md, The chain). */
export function encodeLine(head: Head, at: string, members: string): { readonly line: string; readonly head: Head } {
  const seq = head.seq + 1
  const body = `{"v":1,"seq":${seq},"at":"${at}",${members}`
  const own = hash('sha256', head.hash + body, 'hex')
  return { line: `${body},"hash":"${own}"}\n`, head: { seq, hash: own } }
}

/** The bytes that the hash at the end of a line covers. */
export function bodyOf(bytes: Buffer): Buffer {
  return bytes.subarray(0, Math.max(0, bytes.length - TAIL_BYTES))
}

/** Takes a line apart, its newline left off; undefined when it has not the form of a record. */
export function readLine(bytes: Buffer): Line | undefined {
  const tail = TAIL.exec(bytes.toString('latin1', Math.max(0, bytes.length - TAIL_BYTES)))
  const head = HEAD.exec(bytes.toString('latin1', 0, 128))
  if (!tail || !head) return undefined
  return { seq: Number(head[1]), at: head[2]!, type: head[3]!, hash: tail[1]!, body: bodyOf(bytes) }
}

/** The hash of a record, from that of the record before it. */
export function chainHash(previous: string, body: Buffer): string {
  return createHash('sha256').update(previous, 'latin1').update(body).digest('hex')
}

/** Whether the line is the record after `head`. */
export function follows(head: Head, line: Line): boolean {
  return line.seq === head.seq + 1 && line.hash === chainHash(head.hash, line.body)
}

/** The whole entry; undefined when it is not JSON. What it holds is as good as the chain that vouches for it. */
export function parseLine(line: Line): StoredEntry | undefined {
  try {
    return JSON.parse(`${line.body.toString('utf8')},"hash":"${line.hash}"}`) as StoredEntry
  } catch {
    return undefined
  }
}
