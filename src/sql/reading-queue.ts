import { Fault } from '../gateway/fault.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Catalog } from './catalog.ts'
import type { ReadRequest, Reading } from './reader.ts'
import { startWorker, type Running } from './running-worker.ts'
import type { ToWorker } from './worker.ts'

/** A text that waits for its reading. */
type Waiting = {
  readonly request: ReadRequest
  readonly resolve: (reading: Reading) => void
  readonly reject: (fault: Fault) => void
}

/** The one text that the worker has. `key`: under which its reading may be kept, from what the worker knew then. */
type Current = Waiting & { readonly key: string }

export function unreadable(message: string): Reading {
  return { objection: refuse('unreadable', message, [{ do: 'change', hint: 'simplify the statement' }]) }
}

/** What a reading depends on besides the code. */
export function cacheKey(request: ReadRequest, catalogs: ReadonlyMap<string, Catalog>): string {
  const { target, searchPath, hidden, temporary, changed, text } = request
  const version = catalogs.get(target)?.version
  return JSON.stringify([target, version, searchPath ?? null, hidden, temporary ?? null, changed ?? [], text])
}

export type ReadingQueue = {
  read(request: ReadRequest): Promise<Reading>
  tell(message: ToWorker): void
  stop(): Promise<void>
}

type Settled = (key: string, request: ReadRequest, reading: Reading) => void

type State = {
  readonly timeoutMs: number
  readonly catalogs: ReadonlyMap<string, Catalog>
  readonly settled: Settled
  /** Texts by their caller; the callers in the order of their turns. */
  readonly waiting: Map<string, Waiting[]>
  current: Current | undefined
  worker: Running | undefined
  stopped: boolean
}

/** One text at a time goes to the worker, of each caller in turn: a slow text delays another caller's once. */
export function startReadingQueue(
  timeoutMs: number,
  catalogs: ReadonlyMap<string, Catalog>,
  settled: Settled,
): ReadingQueue {
  const waiting = new Map<string, Waiting[]>()
  const state: State = { timeoutMs, catalogs, settled, waiting, current: undefined, worker: undefined, stopped: false }
  return {
    read: (request) =>
      new Promise((resolve, reject) => {
        if (state.stopped) return reject(closed())
        const caller = request.caller ?? ''
        const queue = waiting.get(caller)
        if (queue === undefined) waiting.set(caller, [{ request, resolve, reject }])
        else queue.push({ request, resolve, reject })
        sendNext(state)
      }),
    tell: (message) => state.worker?.tell(message),
    stop: () => stop(state),
  }
}

async function stop(state: State): Promise<void> {
  state.stopped = true
  const left = [...(state.current === undefined ? [] : [state.current]), ...[...state.waiting.values()].flat()]
  state.current = undefined
  state.waiting.clear()
  for (const each of left) each.reject(closed())
  await state.worker?.stop()
  state.worker = undefined
}

function closed(): Fault {
  return new Fault('parser', 'the SQL reader is closed')
}

function sendNext(state: State): void {
  if (state.current !== undefined) return
  const next = takeTurn(state.waiting)
  if (next === undefined) return
  state.current = { ...next, key: cacheKey(next.request, state.catalogs) }
  state.worker ??= startTaught(state)
  state.worker.tell({ does: 'read', request: next.request })
}

/** The first text of the caller whose turn it is; the caller goes to the end. */
function takeTurn(waiting: Map<string, Waiting[]>): Waiting | undefined {
  for (const [caller, queue] of waiting) {
    const next = queue.shift()
    waiting.delete(caller)
    if (queue.length > 0) waiting.set(caller, queue)
    return next
  }
  return undefined
}

function startTaught(state: State): Running {
  const worker = startWorker({
    timeoutMs: () => state.timeoutMs * (1 + (state.current?.request.text.length ?? 0) / TEXT_PER_TIMEOUT),
    isIdle: () => state.current === undefined,
    onReading: (reading) => answer(state, reading),
    onBroken: (why) => {
      state.worker = undefined
      answer(state, unreadable(why))
    },
  })
  for (const [target, catalog] of state.catalogs) worker.tell({ does: 'learn', target, catalog })
  return worker
}

/** A long text has one more time-out for each so many characters: reading takes time in proportion. */
const TEXT_PER_TIMEOUT = 256 * 1024

function answer(state: State, reading: Reading): void {
  const { current } = state
  state.current = undefined
  if (current !== undefined) {
    state.settled(current.key, current.request, reading)
    current.resolve(reading)
  }
  sendNext(state)
}
