import { Fault } from '../gateway/fault.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Catalog } from './catalog.ts'
import type { ReadRequest, Reading } from './reader.ts'
import { startWorker, type Running } from './running-worker.ts'
import type { ToWorker } from './worker.ts'

/** A text that waits for its reading. `retried` when a worker before has died over another one. */
type Waiting = {
  readonly request: ReadRequest
  readonly resolve: (reading: Reading) => void
  readonly reject: (fault: Fault) => void
  /** Under which its reading may be kept: made when it is sent, from what the worker knows then. */
  key: string
  retried: boolean
}

export function unreadable(message: string): Reading {
  return { objection: refuse('unreadable', message, [{ do: 'change', hint: 'simplify the statement' }]) }
}

/** What a reading depends on besides the code. */
export function cacheKey(request: ReadRequest, catalogs: ReadonlyMap<string, Catalog>): string {
  const { target, searchPath, hidden, text } = request
  return JSON.stringify([target, catalogs.get(target)?.version, searchPath ?? null, hidden, text])
}

export type ReadingQueue = {
  read(request: ReadRequest): Promise<Reading>
  tell(message: ToWorker): void
  stop(): Promise<void>
}

type Settled = (waiting: Waiting, reading: Reading) => void

type State = {
  readonly timeoutMs: number
  readonly catalogs: ReadonlyMap<string, Catalog>
  readonly settled: Settled
  waiting: Waiting[]
  worker: Running | undefined
  stopped: boolean
}

/** Texts go to the worker at once and are answered in order, so the one it died over is always the first. */
export function startReadingQueue(
  timeoutMs: number,
  catalogs: ReadonlyMap<string, Catalog>,
  settled: Settled,
): ReadingQueue {
  const state: State = { timeoutMs, catalogs, settled, waiting: [], worker: undefined, stopped: false }
  return {
    read: (request) =>
      new Promise((resolve, reject) => {
        if (state.stopped) return reject(closed())
        const each: Waiting = { request, resolve, reject, key: '', retried: false }
        state.waiting.push(each)
        send(state, each)
      }),
    tell: (message) => state.worker?.tell(message),
    async stop() {
      state.stopped = true
      for (const each of state.waiting.splice(0)) each.reject(closed())
      await state.worker?.stop()
      state.worker = undefined
    },
  }
}

function closed(): Fault {
  return new Fault('parser', 'the SQL reader is closed')
}

function send(state: State, each: Waiting): void {
  each.key = cacheKey(each.request, state.catalogs)
  state.worker ??= startTaught(state)
  state.worker.tell({ does: 'read', request: each.request })
}

function startTaught(state: State): Running {
  const worker = startWorker({
    timeoutMs: state.timeoutMs,
    isIdle: () => state.waiting.length === 0,
    onReading: (reading) => answer(state, reading),
    onBroken: (why) => recover(state, why),
  })
  for (const [target, catalog] of state.catalogs) worker.tell({ does: 'learn', target, catalog })
  return worker
}

function answer(state: State, reading: Reading): void {
  const first = state.waiting.shift()
  if (first === undefined) return
  state.settled(first, reading)
  first.resolve(reading)
}

/** The first is refused, and so is every other that has lived through this before; the rest get a new worker. */
function recover(state: State, why: string): void {
  state.worker = undefined
  const [first, ...rest] = state.waiting
  const refused = rest.filter((each) => each.retried)
  state.waiting = rest.filter((each) => !each.retried)
  for (const each of first === undefined ? refused : [first, ...refused]) each.resolve(unreadable(why))
  for (const each of state.waiting) {
    each.retried = true
    send(state, each)
  }
}
