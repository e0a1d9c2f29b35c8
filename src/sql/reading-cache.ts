import type { Reading } from './reader.ts'

/** Readings of recent texts, least recently used first out. */
export type ReadingCache = {
  find(key: string): Reading | undefined
  keep(key: string, text: string, reading: Reading): void
}

/** What a statement or a touch of a reading takes, about; a reading with more of them than this is not kept. */
const PART_BYTES = 500
const MOST_PARTS = 250

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
      const parts = partsOf(reading)
      if (text.length * 2 > textBytes || parts > MOST_PARTS) return
      drop(key)
      const bytes = key.length * 2 + parts * PART_BYTES
      entries.set(key, { reading, bytes })
      held += bytes
      for (const oldest of entries.keys()) {
        if (held <= totalBytes) return
        drop(oldest)
      }
    },
  }
}

function partsOf(reading: Reading): number {
  if (!('statements' in reading)) return 0
  return reading.statements.reduce((sum, { touches }) => sum + 1 + touches.length, 0)
}
