/** A set of bytes: 1 where a byte is in it. */
export type ByteSet = Uint8Array

/** The bytes of these characters (ASCII). */
export function byteSet(characters: string): ByteSet {
  const set = new Uint8Array(256)
  for (const character of characters) set[character.charCodeAt(0)] = 1
  return set
}

/**
 * Where the first run of `least` or more bytes of the set begins, at `from` or later; -1 when there is none. `from` is not
 * within a run. It looks at every `least`-th byte only, which a run cannot avoid, and from there to both sides: each byte is
 * read three times at most, and most are not read at all.
 */
export function nextRun(text: Uint8Array, from: number, least: number, set: ByteSet): number {
  let floor = from
  for (let at = from + least - 1; at < text.length; at = floor + least - 1) {
    if (set[text[at]!] === 0) {
      floor = at + 1
      continue
    }
    let start = at
    while (start > floor && set[text[start - 1]!] === 1) start--
    let end = at + 1
    while (end - start < least && set[text[end]!] === 1) end++
    if (end - start === least) return start
    floor = end + 1
  }
  return -1
}

/** Where the run that begins at `start` ends. */
export function runEnd(text: Uint8Array, start: number, set: ByteSet): number {
  let end = start
  while (set[text[end]!] === 1) end++
  return end
}
