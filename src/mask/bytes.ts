import { byteSet } from './runs.ts'

export const SPACE = 0x20
export const PLUS = 0x2b
export const DASH = 0x2d
export const DOT = 0x2e
export const SLASH = 0x2f
export const BACKSLASH = 0x5c

export const DIGITS = byteSet('0123456789')

const ESCAPES = new Set(Array.from('bfnrt', (letter) => letter.charCodeAt(0)))
const SMALL_U = 0x75

/** ASCII digits; false outside of the text. */
export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

/** ASCII letters; false outside of the text. */
export function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a
}

export function isAlphanumeric(byte: number | undefined): boolean {
  return isDigit(byte) || isLetter(byte)
}

/**
 * True when a word of ASCII letters and digits has begun before `at`. What ends an escape of JSON (`\n`, `\u00e9`) is no
 * part of a word: texts and `json` values hold them as they were written.
 */
export function isInWord(text: Uint8Array, at: number): boolean {
  if (!isAlphanumeric(text[at - 1])) return false
  const escaped = text[at - 2] === BACKSLASH && ESCAPES.has(text[at - 1]!)
  return !escaped && !(text[at - 6] === BACKSLASH && text[at - 5] === SMALL_U)
}

/** True when `word` (ASCII) stands at `at`. */
export function standsAt(text: Uint8Array, at: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) if (text[at + index] !== word.charCodeAt(index)) return false
  return true
}

/** The three digits at `at` as a number. */
export function threeDigits(text: Uint8Array, at: number): number {
  return 100 * (text[at]! - 0x30) + 10 * (text[at + 1]! - 0x30) + (text[at + 2]! - 0x30)
}

/** True when `count` digits stand at `at`. */
export function areDigits(text: Uint8Array, at: number, count: number): boolean {
  for (let index = 0; index < count; index++) if (!isDigit(text[at + index])) return false
  return true
}
