/** The value below which `share` (0 to 1) of the values lie; nearest rank. NaN for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** The middle value, or the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  if (sorted.length % 2 === 1) return sorted[half]!
  return (sorted[half - 1]! + sorted[half]!) / 2
}

/**
 * How many times `rival` it is: the median of the ratios of each round, whose two samples ran one after the other, so
 * that whatever slowed the machine down in a round slowed down both.
 */
export function ratio(values: readonly number[], rival: readonly number[]): number {
  return median(values.map((value, round) => value / rival[round]!))
}
