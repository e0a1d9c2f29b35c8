import type { Span } from './detector.ts'

const AT = 0x40
const DOT = 0x2e
const DASH = 0x2d
const PERCENT = 0x25

/**
 * E-mail addresses: a practical subset of RFC 5321 and 6531. Letters of any script, digits and `._%+-` before the `@` (or
 * `%40`, as in an encoded URL); after it labels with at least one dot, the last of which is no number. Each byte is looked
 * at once from the left and once from the right: a part never reaches beyond the `@` beside it.
 */
export function findEmails(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  if (!suspectsEmail(text)) return undefined
  let found: Span[] | undefined
  let floor = 0
  let at = 0
  while (at < text.length && (found?.length ?? 0) < most) {
    const size = atSignSize(text, at)
    if (size > 0) {
      const start = localStart(text, at, floor)
      const end = start < at ? domainEnd(text, at + size) : 0
      if (end > 0) (found ??= []).push({ start, end })
      floor = at + size
    }
    at += Math.max(size, 1)
  }
  return found
}

/** False when no piece of these bytes has an address in it. */
export function suspectsEmail(bytes: Uint8Array): boolean {
  return bytes.indexOf(AT) >= 0 || bytes.indexOf(PERCENT) >= 0
}

/** 1 for `@`, 3 for `%40`, else 0. */
function atSignSize(text: Uint8Array, at: number): 0 | 1 | 3 {
  if (text[at] === AT) return 1
  return text[at] === PERCENT && text[at + 1] === 0x34 && text[at + 2] === 0x30 ? 3 : 0
}

/** Where the part before `end` begins, not before `floor`; `end` when there is none. */
function localStart(text: Uint8Array, end: number, floor: number): number {
  let start = end
  while (start > floor && isLocal(text[start - 1]!)) start--
  return start
}

/** Where the domain that begins at `start` ends; 0 when it is none. */
function domainEnd(text: Uint8Array, start: number): number {
  let end = 0
  let at = start
  for (let labels = 1; ; labels++) {
    const label = at
    let last = at
    while (at < text.length && isLabel(text[at]!)) if (text[at++] !== DASH) last = at
    if (last === label || text[label] === DASH) return end
    if (labels > 1 && last - label > 1 && !isDigit(text[label]!)) end = last
    if (text[at] !== DOT) return end
    at++
  }
}

function isLocal(byte: number): boolean {
  return isLabel(byte) || byte === DOT || byte === 0x5f || byte === PERCENT || byte === 0x2b
}

/** Letters, digits, dash, and every byte of a character outside ASCII. */
function isLabel(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || isDigit(byte) || byte === DASH || byte > 0x7f
  )
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}
