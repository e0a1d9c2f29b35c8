import { areDigits, DASH, isDigit, SPACE, threeDigits } from './bytes.ts'
import type { Span } from './detector.ts'

/**
 * Social Security numbers of the United States as they are printed: 3, 2 and 4 digits with a dash, or a space, between (SSA,
 * POMS RM 10201.035: none begins with 000, 666 or 9, has 00 in the middle or 0000 at the end). A part of a longer chain of
 * digits with the same separator is none; nine digits without separators are not told from other numbers.
 */
export function findSocialSecurityNumbers(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (let at = 3; at < text.length - 7; at++) {
    if (!isNumber(text, at) || !standsAlone(text, at)) continue
    if ((found ??= []).push({ start: at - 3, end: at + 8 }) >= most) return found
  }
  return found
}

/** False when no piece of these bytes has such a number in it. */
export function suspectsSocialSecurityNumber(bytes: Uint8Array): boolean {
  for (let at = 3; at < bytes.length - 7; at++) if (isNumber(bytes, at)) return true
  return false
}

/** True when the first separator of a number is at `at`. */
function isNumber(text: Uint8Array, at: number): boolean {
  const separator = text[at]
  if ((separator !== DASH && separator !== SPACE) || text[at + 3] !== separator) return false
  if (!areDigits(text, at - 3, 3) || !areDigits(text, at + 1, 2) || !areDigits(text, at + 4, 4)) return false
  const area = threeDigits(text, at - 3)
  if (area === 0 || area === 666 || area >= 900) return false
  return !areZeros(text, at + 1, 2) && !areZeros(text, at + 4, 4)
}

function areZeros(text: Uint8Array, at: number, count: number): boolean {
  for (let index = 0; index < count; index++) if (text[at + index] !== 0x30) return false
  return true
}

function standsAlone(text: Uint8Array, at: number): boolean {
  const separator = text[at]
  const goesOn = isDigit(text[at + 8]) || (text[at + 8] === separator && isDigit(text[at + 9]))
  return !goesOn && !isDigit(text[at - 4]) && !(text[at - 4] === separator && isDigit(text[at - 5]))
}
