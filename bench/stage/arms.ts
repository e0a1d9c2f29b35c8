/** One way to the database: what a client needs to take it. */
export type Arm = {
  readonly name: 'direct' | 'pgbouncer' | 'gateway'
  readonly port: number
  readonly user: string
  readonly password: string
  /** The process in between, if there is one. */
  readonly pid?: number
}

/**
 * Measures every arm once a round. Each round starts with another arm, so that none always runs after the same one.
 * Arm to what was measured, in the order of the rounds.
 */
export async function interleave<T>(
  arms: readonly Arm[],
  rounds: number,
  measure: (arm: Arm, round: number) => Promise<T>,
): Promise<Readonly<Record<string, readonly T[]>>> {
  const measured = new Map<string, T[]>(arms.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < arms.length; turn++) {
      const arm = arms[(round + turn) % arms.length]!
      measured.get(arm.name)!.push(await measure(arm, round))
    }
  }
  return Object.fromEntries(measured)
}

/** The same samples, each turned into a number. */
export function mapArms<T>(
  arms: Readonly<Record<string, readonly T[]>>,
  pick: (sample: T) => number,
): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(Object.entries(arms).map(([arm, samples]) => [arm, samples.map(pick)]))
}
