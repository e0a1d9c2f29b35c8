import type { ReadRequest } from './reader.ts'

/** Which texts are read apart from the others, so that no short and simple one waits for them. */
export interface Lanes {
  isSlow(request: ReadRequest): boolean
  /** How long reading it took, in ms of the reading thread's own time. */
  took(request: ReadRequest, ms: number): void
}

/** In UTF-16 units: a longer text is slow. */
const LONG_TEXT = 4096
/** A text takes a fraction of this. */
const SLOW_MS = 1
/** Whose text took longer is slow for so many times as long: of the others' time it takes 2 %. */
const PENANCE = 50
/** Callers remembered before those whose time is over are forgotten. */
const MANY = 1_000

export function newLanes(now: () => number = () => performance.now()): Lanes {
  /** Callers, and until when they are slow. */
  const slow = new Map<string, number>()
  const forget = (): void => {
    for (const [caller, until] of slow) if (until <= now()) slow.delete(caller)
  }
  return {
    isSlow: ({ text, caller = '' }) => text.length > LONG_TEXT || (slow.get(caller) ?? 0) > now(),
    took({ caller = '' }, ms) {
      if (ms <= SLOW_MS) return
      if (slow.size >= MANY) forget()
      slow.set(caller, Math.max(slow.get(caller) ?? 0, now() + PENANCE * ms))
    },
  }
}
