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

/** Texts go to the worker at once and are answered in order, so the one it died over is always the first. */
export function startReadingQueue(
  timeoutMs: number,
  catalogs: ReadonlyMap<string, Catalog>,
  settled: Settled,
): ReadingQueue {
  let waiting: Waiting[] = []
  let worker: Running | undefined
  let stopped = false

  const send = (each: Waiting): void => {
    each.key = cacheKey(each.request, catalogs)
    running().tell({ does: 'read', request: each.request })
  }
  const running = (): Running => {
    if (worker !== undefined) return worker
    worker = startWorker({ timeoutMs, isIdle: () => waiting.length === 0, onReading, onBroken })
    for (const [target, catalog] of catalogs) worker.tell({ does: 'learn', target, catalog })
    return worker
  }
  const onReading = (reading: Reading): void => {
    const first = waiting.shift()
    if (first === undefined) return
    settled(first, reading)
    first.resolve(reading)
  }
  const onBroken = (why: string): void => {
    worker = undefined
    const [first, ...rest] = waiting
    const refused = rest.filter((each) => each.retried)
    waiting = rest.filter((each) => !each.retried)
    for (const each of [...(first === undefined ? [] : [first]), ...refused]) each.resolve(unreadable(why))
    for (const each of waiting) {
      each.retried = true
      send(each)
    }
  }
  return {
    read: (request) =>
      new Promise((resolve, reject) => {
        if (stopped) return reject(new Fault('parser', 'the SQL reader is closed'))
        const each: Waiting = { request, resolve, reject, key: '', retried: false }
        waiting.push(each)
        send(each)
      }),
    tell: (message) => worker?.tell(message),
    async stop() {
      stopped = true
      for (const each of waiting.splice(0)) each.reject(new Fault('parser', 'the SQL reader is closed'))
      await worker?.stop()
      worker = undefined
    },
  }
}
