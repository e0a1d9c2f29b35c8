import { DASH, DIGITS, isAlphanumeric, isDigit, isInWord, isLetter, SPACE } from './bytes.ts'
import type { Span } from './detector.ts'
import { nextRun, runEnd } from './runs.ts'

/** How many letters and digits an IBAN has, and where (SWIFT's IBAN Registry). */
const COUNTRIES: Readonly<Record<number, string>> = {
  15: 'NO',
  16: 'BE',
  18: 'DK FI FK FO GL NL SD',
  19: 'MK SI',
  20: 'AT BA EE KZ LT LU MN XK',
  21: 'CH HR LI LV',
  22: 'BG BH CR DE GB GE IE ME RS VA',
  23: 'AE GI IL IQ OM SO TL',
  24: 'AD CZ ES MD PK RO SA SE SK TN VG',
  25: 'LY PT ST',
  26: 'IS TR',
  27: 'BI DJ FR GR IT MC MR SM',
  28: 'AL AZ BY CY DO GT HN HU LB NI PL SV',
  29: 'BR EG PS QA UA',
  30: 'JO KW MU YE',
  31: 'MT SC',
  32: 'LC',
  33: 'RU',
}

/** By country; 0 for those without. */
const LENGTHS: Uint8Array = lengths()

function lengths(): Uint8Array {
  const table = new Uint8Array(1024)
  for (const [length, countries] of Object.entries(COUNTRIES))
    for (const country of countries.split(' '))
      table[placeOf(country.charCodeAt(0), country.charCodeAt(1))] = Number(length)
  return table
}

/** The same for capital and small letters. */
function placeOf(first: number, second: number): number {
  return ((first & 31) << 5) | (second & 31)
}

/**
 * International bank account numbers (ISO 13616-1): a country that has them, two check digits, and as many letters and
 * digits as that country's have, with the right remainder (ISO/IEC 7064, MOD 97-10). Capital or small letters; single
 * spaces or dashes may stand between any two of them. A part of a longer word is none.
 */
export function findIbans(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (let check = nextRun(text, 0, 2, DIGITS); check >= 0;) {
    const start = check - 2
    const end = isInWord(text, start) ? 0 : ibanEnd(text, start)
    const whole = end > 0 && !isAlphanumeric(text[end])
    if (whole && (found ??= []).push({ start, end }) >= most) return found
    check = nextRun(text, whole ? end : runEnd(text, check, DIGITS), 2, DIGITS)
  }
  return found
}

/** False when no piece of these bytes has an IBAN in it. */
export function suspectsIban(bytes: Uint8Array): boolean {
  for (let check = nextRun(bytes, 0, 2, DIGITS); check >= 0;) {
    if (ibanEnd(bytes, check - 2) > 0) return true
    check = nextRun(bytes, runEnd(bytes, check, DIGITS), 2, DIGITS)
  }
  return false
}

/** Where the IBAN ends whose two letters are at `start`, before two digits, whatever is behind it; 0 when none does. Looks at 65 bytes at most. */
function ibanEnd(text: Uint8Array, start: number): number {
  if (!isLetter(text[start]) || !isLetter(text[start + 1])) return 0
  const length = LENGTHS[placeOf(text[start]!, text[start + 1]!)]!
  let remainder = 0
  let at = start + 4
  for (let count = 4; count < length; count++) {
    if (isSeparator(text[at])) at++
    if (!isAlphanumeric(text[at])) return 0
    remainder = appended(remainder, text[at++]!)
  }
  for (let place = 0; place < 4; place++) remainder = appended(remainder, text[start + place]!)
  return length > 0 && remainder === 1 ? at : 0
}

function isSeparator(byte: number | undefined): boolean {
  return byte === SPACE || byte === DASH
}

/** The remainder of a number by 97 with one more character behind it; letters stand for 10 to 35. */
function appended(remainder: number, byte: number): number {
  return isDigit(byte) ? (10 * remainder + byte - 0x30) % 97 : (100 * remainder + (byte & 31) + 9) % 97
}
