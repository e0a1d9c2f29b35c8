import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { WITHOUT_PGBENCH } from './load.ts'
import { runRounds, type Round } from './rounds.ts'
import type { Ran } from './target-log.ts'

/** `npm run test:crash` sets them; a seed that failed is tried again with `CRASH_SEED=`. */
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 20)
const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 2 ** 31)
const SLOWEST_MS = 60_000 + ROUNDS * 60_000

const crashing = { skip: WITHOUT_PGBENCH, timeout: SLOWEST_MS }

describe(`a gateway ended at a random moment under pgbench, ${ROUNDS} times (CRASH_SEED=${SEED})`, crashing, () => {
  let rounds: readonly Round[] = []
  before(async () => void (rounds = await runRounds(ROUNDS, SEED)), { timeout: SLOWEST_MS })

  const all = (found: (round: Round) => readonly string[]): readonly string[] =>
    rounds.flatMap((round, number) => found(round).map((one) => `round ${number} (${round.blow}): ${one}`))
  const total = (): number => rounds.reduce((sum, round) => sum + round.ran.length, 0)
  const blows = (blow: Round['blow']): readonly Round[] => rounds.filter((round) => round.blow === blow)
  const ran = (isSo: (statement: Ran) => boolean): boolean => rounds.some((round) => round.ran.some(isSo))

  it('had nothing run or prepared at the target that its records have not, word for word and as often', (test) => {
    assert.deepEqual(
      all(({ missing }) => missing),
      [],
    )
    test.diagnostic(`${total()} statements and Parses compared`)
  })

  it('had nothing take effect at the target that is not on the disk, whatever a power cut takes', () => {
    assert.deepEqual(
      all(({ forgotten }) => forgotten),
      [],
    )
  })

  it('leaves a log that verifies against all checkpoints that were printed, but for a torn last record', () => {
    assert.deepEqual(
      all(({ verified: [left] }) => left!.problems.map(({ message }) => message)),
      [],
    )
  })

  it('goes on, at its next start, with a log that verifies as a whole', () => {
    assert.deepEqual(
      all(({ verified: [, again] }) => again!.problems.map(({ message }) => message)),
      [],
    )
    assert.deepEqual(
      all(({ verified: [, again] }) => (again!.verdict === 'intact' ? [] : [again!.verdict])),
      [],
    )
  })

  it('leaves roles, and its next start revokes them all before it is ready', () => {
    assert.deepEqual(
      all(({ left }) => (left.length > 3 ? [] : ['it had no sessions'])),
      [],
    )
    assert.deepEqual(
      all(({ remaining }) => remaining),
      [],
    )
  })

  it('was really hit: amid statements of every kind, inside a write, with bytes to lose', () => {
    assert.ok(total() > 30 * ROUNDS)
    assert.ok(ran(({ stage, name }) => stage === 'execute' && name === undefined))
    assert.ok(ran(({ stage, name }) => stage === 'execute' && name?.startsWith('<unnamed>') === true))
    assert.ok(ran(({ name, parameters }) => name?.startsWith('P_') === true && parameters.length === 3))
    assert.ok(ran(({ text }) => /^SELECT n\n\t\/\* k \d+ \d+ \d+ \*\/\n {2}FROM/.test(text)))
    assert.ok(ran(({ text }) => text.startsWith('COMMIT /*')) && ran(({ text }) => text === 'END;'))
    assert.ok(ran(({ text }) => text.startsWith('EXPLAIN (FORMAT JSON) DELETE')))
    assert.ok(blows('torn write').some(({ verified: [left] }) => left!.verdict === 'torn'))
    assert.ok(blows('power cut').some(({ lost }) => lost > 0))
  })
})
