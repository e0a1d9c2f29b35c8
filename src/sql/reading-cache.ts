import type { Reading } from './reader.ts'

/** Readings of recent texts, least recently used first out. */
export type ReadingCache = {
  find(key: string): Reading | undefined
  keep(key: string, text: string, reading: Reading): void
}

/** Keeps texts of up to `textBytes` each and `totalBytes` together, counted in UTF-16 units of two bytes. */
export function newReadingCache(textBytes: number, totalBytes: number): ReadingCache {
  const entries = new Map<string, { readonly reading: Reading; readonly bytes: number }>()
  let held = 0
  const drop = (key: string): void => {
    held -= entries.get(key)?.bytes ?? 0
    entries.delete(key)
  }
  return {
    find(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return entry.reading
    },
    keep(key, text, reading) {
      if (text.length * 2 > textBytes) return
      drop(key)
      const bytes = key.length * 2
      entries.set(key, { reading, bytes })
      held += bytes
      for (const oldest of entries.keys()) {
        if (held <= totalBytes) return
        drop(oldest)
      }
    },
  }
}
