import type { Stage } from './stage/stage.ts'

/** What a sample of a table is of, and which way is better. */
export type Table = {
  /** Stable over time: results of different days are compared by it. */
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** The arms that the others are set in relation to, if they ran. */
  readonly rivals: readonly string[]
  /** Arm to its samples: one a round, so that samples with the same index ran one after the other. */
  readonly arms: Readonly<Record<string, readonly number[]>>
}

/** How much is done: a quick run is to show that all works, not to be quoted. */
export type Size = {
  readonly quick: boolean
  readonly rounds: number
  /** Length of one run of pgbench, in s. */
  readonly seconds: number
  readonly rows: number
  /** Statements, or sessions opened, for a distribution. */
  readonly repeats: number
  readonly idleSessions: number
  /** Sessions of the figure `scale`: idle ones, active ones beside them, and those that come and go. */
  readonly scale: { readonly idle: number; readonly active: number; readonly churn: number }
}

export type Figure = {
  readonly name: string
  /** What it shows, in a sentence. */
  readonly about: string
  /** How many sessions it has at once on one arm; 50 unless said. */
  readonly sessions?: (size: Size) => number
  readonly run: (stage: Stage, size: Size) => Promise<readonly Table[]>
}

export const FULL: Size = {
  quick: false,
  rounds: 5,
  seconds: 5,
  rows: 1_000_000,
  repeats: 200,
  idleSessions: 200,
  scale: { idle: 2_000, active: 200, churn: 1_000 },
}
export const QUICK: Size = {
  quick: true,
  rounds: 2,
  seconds: 2,
  rows: 100_000,
  repeats: 40,
  idleSessions: 40,
  scale: { idle: 60, active: 10, churn: 50 },
}
/** Idle sessions with `--big`. */
export const BIG_SESSIONS = 2_000
