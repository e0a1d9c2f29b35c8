import {
  areDigits,
  DASH,
  DIGITS,
  DOT,
  isAlphanumeric,
  isDigit,
  isInWord,
  PLUS,
  SLASH,
  SPACE,
  threeDigits,
} from './bytes.ts'
import type { Span } from './detector.ts'
import { nextRun, runEnd } from './runs.ts'

/** Digits with the country code: E.164 permits 15; with fewer than 8 it is hardly ever a number that can be called. */
const SHORTEST = 8
const LONGEST = 15
/** `+1` and ten more. */
const NORTH_AMERICAN = 11

const PERCENT = 0x25
/** What a `+` begins with. */
const SIGNS: readonly number[] = [PLUS, PERCENT]
const OPENING = 0x28
const CLOSING = 0x29
const ONE = 0x31

/**
 * Telephone numbers of two forms. International (ITU-T E.164 and E.123): `+` (or `%2B`, as in an encoded URL), then 8 to 15
 * digits that do not begin with 0, in groups with one space, dash, dot or slash between them, or brackets; behind `+1` the
 * ten digits must be North American. North American (NANP) without `+`: area code, exchange and four digits, as
 * `212-555-0123`, `212.555.0123`, `212 555 0123`, `212/555-0123` or `(212) 555-0123`, a `1` before them or not. Ten digits
 * without separators are not told from other numbers.
 */
export function findPhones(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (const sign of SIGNS)
    for (let at = text.indexOf(sign, 0); at >= 0;) {
      const span = international(text, at)
      if (span && (found ??= []).push(span) >= most) return found
      at = text.indexOf(sign, span?.end ?? at + 1)
    }
  for (let line = nextRun(text, 0, 4, DIGITS); line >= 0;) {
    const end = runEnd(text, line, DIGITS)
    const span = end - line === 4 ? northAmerican(text, line - 1) : undefined
    if (span && (found ??= []).push(span) >= most) return found
    line = nextRun(text, end, 4, DIGITS)
  }
  return found
}

/** False when no piece of these bytes has a number in it. */
export function suspectsPhone(bytes: Uint8Array): boolean {
  for (const sign of SIGNS)
    for (let at = bytes.indexOf(sign, 0); at >= 0; at = bytes.indexOf(sign, at + 1))
      if (firstDigit(bytes, at) > 0) return true
  for (let line = nextRun(bytes, 0, 4, DIGITS); line >= 0;) {
    if (areaOf(bytes, line - 1) !== undefined) return true
    line = nextRun(bytes, runEnd(bytes, line, DIGITS), 4, DIGITS)
  }
  return false
}

/** The number whose `+` is at `at`. */
function international(text: Uint8Array, at: number): Span | undefined {
  if (text[at] === PLUS && isInWord(text, at)) return undefined
  const first = firstDigit(text, at)
  const end = first === 0 ? 0 : internationalEnd(text, first)
  return end === 0 ? undefined : { start: at, end }
}

/** The place of the country code's first digit, which may stand in brackets, behind a `+` at `sign`; 0 when there is none. */
function firstDigit(text: Uint8Array, sign: number): number {
  const behind = sign + plusSize(text, sign)
  const first = text[behind] === OPENING ? behind + 1 : behind
  return first > sign && isDigit(text[first]) && text[first] !== 0x30 ? first : 0
}

/** 1 for `+`, 3 for `%2B`, else 0. */
function plusSize(text: Uint8Array, at: number): 0 | 1 | 3 {
  if (text[at] === PLUS) return 1
  return text[at] === PERCENT && text[at + 1] === 0x32 && (text[at + 2]! | 0x20) === 0x62 ? 3 : 0
}

/** Where the last whole group ends that still belongs to the number; 0 when it is none. */
function internationalEnd(text: Uint8Array, first: number): number {
  let end = 0
  let number = 0
  let digits = 0
  for (let at = first; at > 0 && digits < LONGEST; at = afterGap(text, at + 1)) {
    number = 10 * number + text[at]! - 0x30
    digits++
    if (!isDigit(text[at + 1]) && isComplete(text[first]!, digits, number)) end = at + 1
  }
  return end
}

function isComplete(first: number, digits: number, number: number): boolean {
  if (first !== ONE) return digits >= SHORTEST
  return (
    digits === NORTH_AMERICAN && isArea(Math.floor(number / 1e7) % 1000) && isExchange(Math.floor(number / 1e4) % 1000)
  )
}

/** The place of the next digit, here or behind what may stand between two groups; 0 when there is none. */
function afterGap(text: Uint8Array, at: number): number {
  let next = at
  if (isSeparator(text[next])) next++
  if (text[next] === OPENING || text[next] === CLOSING) {
    next++
    if (isSeparator(text[next])) next++
  }
  return isDigit(text[next]) ? next : 0
}

function isSeparator(byte: number | undefined): boolean {
  return byte === SPACE || byte === DASH || byte === DOT || byte === SLASH
}

/** The number whose last gap is at `gap`, with four digits behind it. */
function northAmerican(text: Uint8Array, gap: number): Span | undefined {
  const area = areaOf(text, gap)
  const end = gap + 5
  if (area === undefined || (text[end] === text[gap] && isDigit(text[end + 1]))) return undefined
  const bracket = text[area - 1] === OPENING
  const start = bracket ? area - 1 : area
  return (bracket ? isDigit(text[start - 1]) : isContinued(text, start)) ? undefined : { start, end }
}

/** The place of the area code of the number whose last gap is at `gap`; undefined when it is none. */
function areaOf(text: Uint8Array, gap: number): number | undefined {
  if (!isLastGap(text, gap)) return undefined
  const place = inBrackets(text, gap - 4) ?? inBrackets(text, gap - 5) ?? (isFirstGap(text, gap) ? gap - 7 : -1)
  return place >= 0 && areDigits(text, place, 3) && isArea(threeDigits(text, place)) ? place : undefined
}

/** A separator behind an exchange. */
function isLastGap(text: Uint8Array, gap: number): boolean {
  const byte = text[gap]
  if (byte !== DASH && byte !== SPACE && byte !== DOT) return false
  return areDigits(text, gap - 3, 3) && isExchange(threeDigits(text, gap - 3))
}

/** The place of the area code whose closing bracket is at `closing`. */
function inBrackets(text: Uint8Array, closing: number): number | undefined {
  return text[closing] === CLOSING && text[closing - 4] === OPENING ? closing - 3 : undefined
}

/** The same separator on both sides of the exchange, or a space or slash before it and a dash behind it. */
function isFirstGap(text: Uint8Array, gap: number): boolean {
  const first = text[gap - 4]
  return first === text[gap] || (text[gap] === DASH && (first === SPACE || first === SLASH))
}

/** True when what begins at `start` is part of a word, or of a longer chain of digits with one and the same separator. */
function isContinued(text: Uint8Array, start: number): boolean {
  const gap = text[start + 3]
  if (isInWord(text, start)) return true
  if (text[start - 1] !== gap || text[start + 7] !== gap || !isDigit(text[start - 2])) return false
  return text[start - 2] !== ONE || isAlphanumeric(text[start - 3])
}

/** NANP: no area code begins with 0 or 1, has 9 in the middle, or ends with 11. */
function isArea(code: number): boolean {
  return isExchange(code) && Math.floor(code / 10) % 10 !== 9
}

function isExchange(code: number): boolean {
  return code >= 200 && code % 100 !== 11
}
