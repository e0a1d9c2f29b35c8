import { Fault } from '../gateway/fault.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Catalog } from './catalog.ts'
import type { ReadRequest, Reading } from './reader.ts'
import type { Answer } from './reading-cache.ts'
import type { ReadingContext } from './reading-contexts.ts'
import { startWorker, type Running } from './running-worker.ts'
import type { ReadAnswer, ToWorker } from './worker.ts'

/** A text that waits for its reading. */
type Waiting = {
  readonly request: ReadRequest
  readonly resolve: (reading: Reading) => void
  readonly reject: (fault: Fault) => void
}

/** The one text that the worker has. `context`: what its reading is kept for, from what the worker knew then. */
type Current = Waiting & { readonly context: ReadingContext | undefined; readonly since: number }

export function unreadable(message: string): Reading {
  return { objection: refuse('unreadable', message, [{ do: 'change', hint: 'simplify the statement' }]) }
}

export type ReadingQueue = {
  read(request: ReadRequest): Promise<Reading>
  tell(message: ToWorker): void
  stop(): Promise<void>
}

export type QueueEvents = {
  /** What a reading that begins now will depend on. */
  contextOf(request: ReadRequest): ReadingContext | undefined
  onAnswer(context: ReadingContext, text: string, answer: Answer): void
  /** What a text took of the worker's own time, in ms; one that broke it, all the time that passed. */
  onTime(request: ReadRequest, ms: number): void
}

export type QueueOptions = {
  readonly timeoutMs: number
  /** The worker ends when it had nothing to read for so long, in ms. */
  readonly restMs?: number
  readonly catalogs: ReadonlyMap<string, Catalog>
  readonly events: QueueEvents
}

type State = QueueOptions & {
  /** Texts by their caller; the callers in the order of their turns. */
  readonly waiting: Map<string, Waiting[]>
  current: Current | undefined
  worker: Running | undefined
  resting: NodeJS.Timeout | undefined
  stopped: boolean
}

/** One text at a time goes to the worker, of each caller in turn: a slow text delays another caller's once. */
export function startReadingQueue(options: QueueOptions): ReadingQueue {
  const waiting = new Map<string, Waiting[]>()
  const nothing = { current: undefined, worker: undefined, resting: undefined }
  const state: State = { ...options, ...nothing, waiting, stopped: false }
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
  clearTimeout(state.resting)
  await state.worker?.stop()
  state.worker = undefined
}

function closed(): Fault {
  return new Fault('parser', 'the SQL reader is closed')
}

function sendNext(state: State): void {
  if (state.current !== undefined) return
  const next = takeTurn(state.waiting)
  clearTimeout(state.resting)
  if (next === undefined) return rest(state)
  state.current = { ...next, context: state.events.contextOf(next.request), since: performance.now() }
  state.worker ??= startTaught(state)
  state.worker.tell({ does: 'read', request: next.request })
}

/** A worker that has read long texts holds on to much memory. */
function rest(state: State): void {
  if (state.restMs === undefined || state.stopped) return
  const end = (): void => {
    void state.worker?.stop()
    state.worker = undefined
  }
  state.resting = setTimeout(end, state.restMs).unref()
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
    onReading: (answer) => keep(state, answer),
    onBroken: (why) => {
      state.worker = undefined
      settle(state, unreadable(why))
    },
  })
  for (const [target, catalog] of state.catalogs) worker.tell({ does: 'learn', target, catalog })
  return worker
}

/** A long text has one more time-out for each so many characters: reading takes time in proportion. */
const TEXT_PER_TIMEOUT = 256 * 1024

function keep(state: State, { reading: json, pinned, ms }: ReadAnswer): void {
  const { context, request } = state.current ?? {}
  const reading = JSON.parse(json) as Reading
  const answer = { reading, bytes: json.length * 2, ...(pinned && { pinned }) }
  if (context !== undefined && request !== undefined) state.events.onAnswer(context, request.text, answer)
  settle(state, reading, ms)
}

function settle(state: State, reading: Reading, ms?: number): void {
  const { current } = state
  state.current = undefined
  if (current) state.events.onTime(current.request, ms ?? performance.now() - current.since)
  current?.resolve(reading)
  sendNext(state)
}
