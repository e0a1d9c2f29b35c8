import type { Clock } from '../gateway/clock.ts'

/** What is known of verified tokens. Holds 10,000, the least recently used leaves first; never gives an expired one. */
export interface TokenCache<T> {
  get(key: string): T | undefined
  /** `expiresAt`: ms since the epoch. */
  set(key: string, value: T, expiresAt: number): void
}

export function createTokenCache<T>(clock: Clock, limit = 10_000): TokenCache<T> {
  const entries = new Map<string, { readonly value: T; readonly expiresAt: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      entries.delete(key)
      if (entry === undefined || entry.expiresAt <= clock.now()) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value, expiresAt) {
      entries.delete(key)
      entries.set(key, { value, expiresAt })
      if (entries.size > limit) entries.delete(entries.keys().next().value!)
    },
  }
}
