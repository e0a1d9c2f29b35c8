import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Outcome, Part } from './campaign.ts'
import { inWords, watchProgress } from './progress.ts'
import { readRun } from './run.ts'

/** Everything is tried where everything is tested; elsewhere `npm run fuzz` has as many. */
const MESSAGES = process.env.CI ? 1_000_000 : 40_000
const RUN = readRun(MESSAGES)
/** A run waits for nothing longer than `PATIENCE`: this is for machines that have little time for it. In ms. */
const LONG = { timeout: 1_200_000 + (RUN.minutes === Infinity ? RUN.frames : RUN.minutes * 60_000) }
/** Bytes that the heap of a campaign may have gained over a run. */
const MAY_GROW = 64 << 20
/** The most memory that the process may ever have had, in KiB: all campaigns, both ends of each connection. */
const MOST_KIB = 2 << 20

const progress = watchProgress((line) => console.log(line))
const outcomes: Outcome[] = []

async function start(file: string, part: Omit<Part, 'counter'>): Promise<Outcome> {
  const stalling = Promise.withResolvers<never>()
  using counter = progress.counter((why) => stalling.reject(new Error(why)))
  const workerData: Part = { ...part, counter }
  const worker = new Worker(new URL(file, import.meta.url), { workerData })
  try {
    const [outcome] = (await Promise.race([once(worker, 'message'), stalling.promise])) as [Outcome]
    return outcome
  } finally {
    await worker.terminate()
  }
}

/** `part` of the run's messages; `share`: of the connections, how many at least have to get a session. */
async function fuzz(context: TestContext, file: string, part: number, share: number): Promise<void> {
  const run = { ...RUN, frames: RUN.frames * part }
  const outcome = await start(file, { run })
  const heap = Math.round(outcome.heapGrowth / (1 << 20))
  context.diagnostic(`seed ${run.seed}: ${outcome.frames} messages in ${outcome.lives} connections, heap ${heap} MiB`)
  assert.deepEqual(outcome.thrown, [])
  assert.deepEqual(outcome.problems, [])
  assert.equal(outcome.closed, outcome.opened)
  assert.equal(outcome.revoked, outcome.opened)
  assert.equal(outcome.lent, 0)
  assert.ok(run.life !== undefined || outcome.opened > outcome.lives * share, `${outcome.opened} sessions were opened`)
  assert.ok(outcome.heapGrowth < MAY_GROW, `the heap grew by ${heap} MiB`)
  outcomes.push(outcome)
}

/** In one line: what the campaigns that found nothing came to. */
function summary(): string {
  const sum = (of: (outcome: Outcome) => number): string => inWords(outcomes.reduce((all, one) => all + of(one), 0))
  const sessions = `${sum((one) => one.opened)} sessions, each closed and its lease revoked`
  const memory = `RSS at most ${inWords(process.resourceUsage().maxRSS / 1_024)} MiB`
  const time = `${inWords(progress.seconds)} s, ${inWords(progress.frames / progress.seconds)} a second`
  const found = outcomes.length === 3 ? 'no problem' : `${3 - outcomes.length} of 3 campaigns failed`
  const all = `${sum(({ frames }) => frames)} messages in ${sum(({ lives }) => lives)} connections`
  return `fuzzed, seed ${RUN.seed}: ${found}; ${all}; ${sessions}; ${time}; ${memory}`
}

describe('both sides of the wire, fuzzed', { concurrency: true }, () => {
  after(() => {
    progress[Symbol.dispose]()
    console.log(summary())
    const { maxRSS } = process.resourceUsage()
    assert.ok(maxRSS < MOST_KIB, `the process had ${maxRSS} KiB`)
  })

  it('lets no client crash or hang it, reach the target with anything unrecorded, or see a secret', LONG, (context) =>
    fuzz(context, './client-side.ts', 0.5, 0.8),
  )

  it('lets no target crash or hang it, reach the client with what does not fit, or show a secret', LONG, (context) =>
    fuzz(context, './target-side.ts', 0.5, 0.8),
  )

  it('lets nobody crash or hang it who has not signed in, and no target while it starts', LONG, (context) =>
    fuzz(context, './start-side.ts', 0.01, 0.05),
  )
})
