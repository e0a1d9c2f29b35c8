import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Outcome } from './campaign.ts'
import { readRun, type Run } from './run.ts'

/** Everything is tried where everything is tested; elsewhere `npm run fuzz` has as many. */
const MESSAGES = process.env.CI ? 1_000_000 : 40_000
const RUN = readRun(MESSAGES)
/** A run waits for nothing longer than `PATIENCE`: this is for machines that have little time for it. In ms. */
const LONG = { timeout: 1_200_000 + (RUN.minutes === Infinity ? 0 : RUN.minutes * 60_000) }
/** Bytes that the process may have gained over a run. */
const MAY_GROW = 64 << 20

async function start(file: string, run: Run): Promise<Outcome> {
  const worker = new Worker(new URL(file, import.meta.url), { workerData: run })
  const [outcome] = (await once(worker, 'message')) as [Outcome]
  await worker.terminate()
  return outcome
}

/** `part` of the run's messages; `share`: of the connections, how many at least have to get a session. */
async function fuzz(context: TestContext, file: string, part: number, share: number): Promise<void> {
  const run = { ...RUN, frames: RUN.frames * part }
  const outcome = await start(file, run)
  const heap = Math.round(outcome.heapGrowth / (1 << 20))
  context.diagnostic(`seed ${run.seed}: ${outcome.frames} messages in ${outcome.lives} connections, heap ${heap} MiB`)
  assert.deepEqual(outcome.thrown, [])
  assert.deepEqual(outcome.problems, [])
  assert.equal(outcome.closed, outcome.opened)
  assert.equal(outcome.revoked, outcome.opened)
  assert.equal(outcome.lent, 0)
  assert.ok(run.life !== undefined || outcome.opened > outcome.lives * share, `${outcome.opened} sessions were opened`)
  assert.ok(outcome.heapGrowth < MAY_GROW, `the heap grew by ${heap} MiB`)
}

describe('both sides of the wire, fuzzed', { concurrency: true }, () => {
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
