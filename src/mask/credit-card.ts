import type { Span } from './detector.ts'

const SHORTEST = 13
const LONGEST = 19

/** First four digits from, to; lengths (the ranges that the networks publish, ISO/IEC 7812). */
const NETWORKS: readonly (readonly [from: number, to: number, lengths: readonly number[]])[] = [
  [2200, 2204, [16, 17, 18, 19]], // Mir
  [2221, 2720, [16]], // Mastercard
  [3000, 3059, [14, 15, 16, 17, 18, 19]], // Diners Club
  [3095, 3095, [14, 15, 16, 17, 18, 19]], // Diners Club
  [3400, 3499, [15]], // American Express
  [3528, 3589, [16, 17, 18, 19]], // JCB
  [3600, 3699, [14, 15, 16, 17, 18, 19]], // Diners Club
  [3700, 3799, [15]], // American Express
  [3800, 3999, [14, 15, 16, 17, 18, 19]], // Diners Club
  [4000, 4999, [13, 16, 19]], // Visa
  [5000, 5099, [13, 14, 15, 16, 17, 18, 19]], // Maestro, RuPay, Elo
  [5100, 5599, [16]], // Mastercard
  [5600, 5899, [13, 14, 15, 16, 17, 18, 19]], // Maestro
  [6000, 6999, [16, 17, 18, 19]], // Discover, UnionPay, RuPay
  [6304, 6304, [13, 14, 15]], // Maestro
  [6390, 6390, [13, 14, 15]], // Maestro
  [6700, 6799, [13, 14, 15]], // Maestro
  [8100, 8299, [16, 17, 18, 19]], // UnionPay, RuPay
  [9792, 9792, [16]], // Troy
]

const DOT = 0x2e

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isSeparator(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x2d
}

/**
 * Card numbers: 13 to 19 digits, whole groups joined by single spaces or dashes, of a known network and with the right
 * check digit (Luhn). A part of a longer run of digits, and the fraction of a decimal number, is none.
 */
export function findCreditCards(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  if (!suspectsCreditCard(text)) return undefined
  let found: Span[] | undefined
  let chain = 0
  let digits = 0
  for (let at = 0; at <= text.length; at++) {
    const byte = text[at]
    if (isDigit(byte)) {
      if (digits++ === 0) chain = at
    } else if (!isSeparator(byte) || !isDigit(text[at - 1])) {
      if (digits >= SHORTEST) found = findInChain(text, chain, at, most, found)
      if (found !== undefined && found.length >= most) return found
      digits = 0
    }
  }
  return found
}

/** False when no piece of these bytes has a card number in it: nowhere are as many digits as the shortest has. */
export function suspectsCreditCard(bytes: Uint8Array): boolean {
  let digits = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte >= 0x30 && byte <= 0x39) {
      if (++digits === SHORTEST) return true
    } else if (byte !== 0x20 && byte !== 0x2d) {
      digits = 0
    }
  }
  return false
}

/** Looks at every group of a chain: groups of digits joined by single separators, from `start` to `end`. */
function findInChain(
  text: Uint8Array,
  start: number,
  end: number,
  most: number,
  before: Span[] | undefined,
): Span[] | undefined {
  let found = before
  for (let at = start; at < end && (found?.length ?? 0) < most; at++) {
    if (!isDigit(text[at]) || !startsGroup(text, at)) continue
    const last = cardEnd(text, at)
    if (last > 0) (found ??= []).push({ start: at, end: last })
  }
  return found
}

function startsGroup(text: Uint8Array, at: number): boolean {
  return !isDigit(text[at - 1]) && !(text[at - 1] === DOT && isDigit(text[at - 2]))
}

/** Where the longest card number that starts at `start` ends; 0 when none does. Looks at 19 digits at most. */
function cardEnd(text: Uint8Array, start: number): number {
  let end = 0
  let digits = 0
  let prefix = 0
  const sums: [even: number, odd: number] = [0, 0]
  for (let at = start; digits < LONGEST && at < text.length; at++) {
    if (isSeparator(text[at]) && isDigit(text[at + 1])) continue
    if (!isDigit(text[at])) break
    const digit = text[at]! - 0x30
    if (digits < 4) prefix = prefix * 10 + digit
    sums[0] += digits % 2 === 0 ? doubled(digit) : digit
    sums[1] += digits % 2 === 0 ? digit : doubled(digit)
    digits++
    if (digits === 4 && !isKnown(prefix)) return 0
    const checks = sums[digits % 2]! % 10 === 0
    if (digits >= SHORTEST && checks && !isDigit(text[at + 1]) && isIssued(prefix, digits)) end = at + 1
  }
  return end
}

/** Luhn: every second digit from the right is doubled, and its own digits added up. */
function doubled(digit: number): number {
  return digit > 4 ? 2 * digit - 9 : 2 * digit
}

function isKnown(prefix: number): boolean {
  return NETWORKS.some(([from, to]) => prefix >= from && prefix <= to)
}

function isIssued(prefix: number, length: number): boolean {
  return NETWORKS.some(([from, to, lengths]) => prefix >= from && prefix <= to && lengths.includes(length))
}
