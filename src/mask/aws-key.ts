import { BACKSLASH, isAlphanumeric, isInWord, SLASH, standsAt } from './bytes.ts'
import type { Span } from './detector.ts'
import { byteSet, nextRun, runEnd } from './runs.ts'

const CAPITALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const DIGITS = '0123456789'
const IN_ID = byteSet(CAPITALS + DIGITS)
/** With the backslash of `\/`, as some write a slash in JSON. */
const IN_KEYS = byteSet(CAPITALS + CAPITALS.toLowerCase() + DIGITS + '/+\\')

/** IAM API Reference, AccessKey: an AccessKeyId has 16 to 128 characters. */
const SHORTEST_ID = 16
const LONGEST_ID = 128
const SECRET = 40
/** How far before a secret its name may begin. */
const NAME_REACH = 48
const NAMES = /secret|aws|akia|asia/i
const CAPITAL_A = 0x41
const SMALL_U = 0x75

/**
 * Access keys of Amazon Web Services (IAM User Guide, unique identifiers; API Reference, AccessKey): ids of long-term
 * (`AKIA…`) and temporary (`ASIA…`) keys, capitals and digits; and secrets, 40 characters of Base64 with capital and small
 * letters, where `secret`, `aws` or such an id stands within the 48 bytes before them.
 */
export function findAwsKeys(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (let start = nextRun(text, 0, SHORTEST_ID, IN_KEYS); start >= 0;) {
    const end = runEnd(text, start, IN_KEYS)
    if (isSuspect(text, start, end))
      for (const span of keysIn(text, start, end)) if ((found ??= []).push(span) >= most) return found
    start = nextRun(text, end, SHORTEST_ID, IN_KEYS)
  }
  return found
}

/** False when no piece of these bytes has a key in it: no run of what keys are made of is long enough, or has an id. */
export function suspectsAwsKey(bytes: Uint8Array): boolean {
  for (let start = nextRun(bytes, 0, SHORTEST_ID, IN_KEYS); start >= 0;) {
    const end = runEnd(bytes, start, IN_KEYS)
    if (isSuspect(bytes, start, end)) return true
    start = nextRun(bytes, end, SHORTEST_ID, IN_KEYS)
  }
  return false
}

function isSuspect(text: Uint8Array, start: number, end: number): boolean {
  if (end - start >= SECRET) return true
  for (let at = start; at < end; at++) if (isPrefix(text, at)) return true
  return false
}

/** The ids in a run, then its secrets. */
function* keysIn(text: Uint8Array, from: number, to: number): Iterable<Span> {
  for (let at = from; at < to; at++) {
    const end = isPrefix(text, at) && !isInWord(text, at) ? idEnd(text, at) : 0
    if (end > 0) yield { start: at, end }
  }
  for (const span of unescaped(text, from, to)) if (isSecret(text, span)) yield span
}

function isPrefix(text: Uint8Array, at: number): boolean {
  return text[at] === CAPITAL_A && (standsAt(text, at, 'AKIA') || standsAt(text, at, 'ASIA'))
}

/** Where the id that starts at `start` ends; 0 when it is none. */
function idEnd(text: Uint8Array, start: number): number {
  let end = start + 4
  while (end < text.length && end - start <= LONGEST_ID && IN_ID[text[end]!] === 1) end++
  const length = end - start
  return length >= SHORTEST_ID && length <= LONGEST_ID && !isAlphanumeric(text[end]) ? end : 0
}

/** The pieces of a run between its escapes of JSON (`\n`, `\u00e9`); `\/` is a slash, and ends no piece. */
function* unescaped(text: Uint8Array, from: number, to: number): Iterable<Span> {
  let start = from
  for (let at = from; at < to; at++) {
    if (text[at] !== BACKSLASH || text[at + 1] === SLASH) continue
    yield { start, end: at }
    start = at + (text[at + 1] === SMALL_U ? 6 : 2)
    at = start - 1
  }
  if (start < to) yield { start, end: to }
}

function isSecret(text: Uint8Array, { start, end }: Span): boolean {
  if (end - start < SECRET || end - start > 2 * SECRET) return false
  let characters = 0
  let letters = 0
  for (let at = start; at < end; at++) {
    if (text[at] !== BACKSLASH) characters++
    if (text[at]! >= CAPITAL_A && text[at] !== BACKSLASH) letters |= text[at]! & 0x20 ? 1 : 2
  }
  return characters === SECRET && letters === 3 && NAMES.test(before(text, start))
}

function before(text: Uint8Array, at: number): string {
  return Buffer.from(text.subarray(Math.max(at - NAME_REACH, 0), at)).toString('latin1')
}
