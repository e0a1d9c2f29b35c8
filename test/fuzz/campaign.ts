import type { SecureContext } from 'node:tls'
import { setTimeout } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { startSqlReader } from '../../src/sql/worker-reader.ts'
import { answerBook } from './answer-book.ts'
import { answering } from './answering.ts'
import { loadSessions } from './corpus.ts'
import { PATIENCE, startFuzzScene, type FuzzScene } from './fuzz-scene.ts'
import { startFuzzTarget, type FuzzTargetOptions } from './fuzz-target.ts'
import { Ledger } from './ledger.ts'
import { random, type Random } from './random.ts'
import { counting, type Counter } from './progress.ts'
import { heap, runLives, type Lived, type Ran, type Run } from './run.ts'

/** After so long nothing is kept of a connection that has ended: no time-out of its is longer. In ms. */
const FORGOTTEN_MS = 22_000

/** What a campaign came to, for the test that started it. */
export type Outcome = Omit<Ran, 'warm'> & {
  /** Bytes. */
  readonly heapGrowth: number
  /** What `serve` threw, in words: nothing ever should. */
  readonly thrown: readonly string[]
  readonly problems: readonly string[]
  readonly opened: number
  readonly closed: number
  readonly revoked: number
  readonly lent: number
}

/** What a campaign is given: its part of the run, and where it counts its messages. */
export type Part = { readonly run: Run; readonly counter: Counter }

export type Campaign = {
  readonly live: (scene: FuzzScene, ledger: Ledger, random: Random) => Promise<Lived>
  readonly tls?: SecureContext
  readonly target?: Pick<FuzzTargetOptions, 'spoil' | 'start'>
}

/**
 * Runs in a worker of its own: the test runner watches every promise of its thread, which costs more than the gateway.
 * A rejection that nobody handles ends the worker, and so fails the test.
 */
export async function campaign({ live, tls, target: moods }: Campaign): Promise<void> {
  const { run, counter } = workerData as Part
  const ledger = new Ledger()
  // However little time the machine has for it, a text is read: a life is the same when it is played again.
  await using reader = startSqlReader({ timeoutMs: PATIENCE })
  reader.learn('none', { version: '1', relations: [], functions: [], operators: [] })
  await reader.read({ text: 'SELECT 1', target: 'none', searchPath: [], hidden: [] })
  await using target = await startFuzzTarget({ answersTo: answering(answerBook(loadSessions())), ledger, ...moods })
  await using scene = await startFuzzScene({ reader, ledger, tls, targetPort: target.port })
  // What cannot be told of one life stops the run with whichever ends next.
  const lived = async (seed: number): Promise<Lived> => {
    const { frames, problems } = await live(scene, ledger, random(seed))
    return { frames, problems: [...problems, ...ledger.problems, ...scene.thrown.map(inWords)] }
  }
  const ran = await runLives(run, lived, counting(counter))
  await scene.quiet(PATIENCE)
  await setTimeout(ran.warm === undefined ? 0 : FORGOTTEN_MS)
  const outcome: Outcome = {
    lives: ran.lives,
    frames: ran.frames,
    heapGrowth: ran.warm === undefined ? 0 : heap() - ran.warm,
    thrown: scene.thrown.map(inWords),
    problems: ledger.problems,
    opened: ledger.count('session.opened'),
    closed: ledger.count('session.closed'),
    revoked: ledger.count('lease.revoked'),
    lent: scene.lent.size,
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has none
  parentPort!.postMessage(outcome)
}

function inWords(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
