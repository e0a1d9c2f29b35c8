/** Choices that are the same for the same seed. */
export interface Random {
  /** From 0 up to below `limit`, which is at least 1. */
  below(limit: number): number
  /** True once in `times`. */
  once(times: number): boolean
  pick<T>(of: readonly T[]): T
}

/** mulberry32: small and fast; good enough to choose mutations. */
export function random(seed: number): Random {
  let state = seed | 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return { below, once: (times) => below(times) === 0, pick: (of) => of[below(of.length)]! }
}

/** The seed of one life of a run: a life that fails is played again from it alone. */
export function seedOf(run: number, life: number): number {
  return Math.imul(run ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(life + 1, 0xc2b2ae35)
}
