/** A map that forgets what was not used for longest. */
export interface BoundedCache<V> {
  get(key: string): V | undefined
  set(key: string, value: V): void
}

/** A cache of at most `entries` values; keys longer than `longestKey` characters are not kept. */
export function boundedCache<V>(entries: number, longestKey: number): BoundedCache<V> {
  const kept = new Map<string, V>()
  return {
    get: (key) => {
      const value = kept.get(key)
      if (value === undefined) return undefined
      kept.delete(key)
      kept.set(key, value)
      return value
    },
    set: (key, value) => {
      if (key.length > longestKey) return
      kept.set(key, value)
      if (kept.size > entries) kept.delete(kept.keys().next().value!)
    },
  }
}
