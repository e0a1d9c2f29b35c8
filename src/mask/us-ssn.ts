import { areDigits, DASH, DIGITS, isDigit, SPACE, threeDigits } from './bytes.ts'
import type { Span } from './detector.ts'
import { nextRun, runEnd } from './runs.ts'

/**
 * Social Security numbers of the United States as they are printed: 3, 2 and 4 digits with a dash, or a space, between (SSA,
 * POMS RM 10201.035: none begins with 000, 666 or 9, has 00 in the middle or 0000 at the end). A part of a longer chain of
 * digits with the same separator is none; nine digits without separators are not told from other numbers.
 */
export function findSocialSecurityNumbers(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (let serial = nextRun(text, 0, 4, DIGITS); serial >= 0;) {
    const end = runEnd(text, serial, DIGITS)
    if (end - serial === 4 && isNumber(text, serial) && standsAlone(text, serial - 7))
      if ((found ??= []).push({ start: serial - 7, end }) >= most) return found
    serial = nextRun(text, end, 4, DIGITS)
  }
  return found
}

/** False when no piece of these bytes has such a number in it. */
export function suspectsSocialSecurityNumber(bytes: Uint8Array): boolean {
  for (let serial = nextRun(bytes, 0, 4, DIGITS); serial >= 0;) {
    if (isNumber(bytes, serial)) return true
    serial = nextRun(bytes, runEnd(bytes, serial, DIGITS), 4, DIGITS)
  }
  return false
}

/** True when a number's last four digits are at `serial`. */
function isNumber(text: Uint8Array, serial: number): boolean {
  const separator = text[serial - 1]
  if ((separator !== DASH && separator !== SPACE) || text[serial - 4] !== separator) return false
  if (!areDigits(text, serial - 7, 3) || !areDigits(text, serial - 3, 2)) return false
  const area = threeDigits(text, serial - 7)
  if (area === 0 || area === 666 || area >= 900) return false
  return !areZeros(text, serial - 3, 2) && !areZeros(text, serial, 4)
}

function areZeros(text: Uint8Array, at: number, count: number): boolean {
  for (let index = 0; index < count; index++) if (text[at + index] !== 0x30) return false
  return true
}

function standsAlone(text: Uint8Array, start: number): boolean {
  const separator = text[start + 3]
  const goesOn = text[start + 11] === separator && isDigit(text[start + 12])
  return !goesOn && !isDigit(text[start - 1]) && !(text[start - 1] === separator && isDigit(text[start - 2]))
}
