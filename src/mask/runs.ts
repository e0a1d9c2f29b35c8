import type { Span } from './detector.ts'

/** A set of bytes: 1 where a byte is in it. */
export type ByteSet = Uint8Array

/** The bytes of these characters (ASCII). */
export function byteSet(characters: string): ByteSet {
  const set = new Uint8Array(256)
  for (const character of characters) set[character.charCodeAt(0)] = 1
  return set
}

/**
 * The first run of `least` or more bytes of the set that begins at `from` or later; undefined when there is none. It looks
 * at every `least`-th byte only, which a run cannot avoid, and from there to both sides: each byte is read twice at most.
 */
export function nextRun(text: Uint8Array, from: number, least: number, set: ByteSet): Span | undefined {
  let floor = from
  for (let at = from + least - 1; at < text.length; at += least) {
    if (set[text[at]!] === 0) {
      floor = at + 1
      continue
    }
    let start = at
    while (start > floor && set[text[start - 1]!] === 1) start--
    let end = at + 1
    while (end < text.length && set[text[end]!] === 1) end++
    if (end - start >= least) return { start, end }
    floor = end
    at = end
  }
  return undefined
}
