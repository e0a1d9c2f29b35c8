import type { Clock } from './clock.ts'

/** So many a second, and no more than that at once (a token bucket). */
export function allowance(perSecond: number, clock: Clock): () => boolean {
  let left = perSecond
  let since = clock.monotonic()
  return () => {
    const now = clock.monotonic()
    left = Math.min(perSecond, left + ((now - since) / 1_000) * perSecond)
    since = now
    if (left < 1) return false
    left--
    return true
  }
}
