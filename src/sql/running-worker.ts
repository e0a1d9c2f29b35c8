import { Worker } from 'node:worker_threads'
import type { FromWorker, ReadAnswer, ToWorker } from './worker.ts'

/** To start, and to learn a catalog. */
const START_TIMEOUT_MS = 15_000
/** The parser recurses on the native stack; its memory is WebAssembly's and not part of the heap. */
const LIMITS = { stackSizeMb: 32, maxOldGenerationSizeMb: 256 }
const TOO_COMPLEX = 'The statement is too complex to read.'

/** A live worker thread. */
export type Running = { tell(message: ToWorker): void; stop(): Promise<void> }

export type WorkerEvents = {
  /** For the text that it has now. */
  timeoutMs(): number
  /** True when no text waits for its answer. */
  isIdle(): boolean
  onReading(answer: ReadAnswer): void
  /** Called once, whatever ends the worker; it is gone then. */
  onBroken(why: string): void
}

/** Starts a worker and watches it: a time-out for its start, and one for each text it has. */
export function startWorker(events: WorkerEvents): Running {
  const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
  const worker = new Worker(new URL(file, import.meta.url), { resourceLimits: LIMITS })
  let ended = false
  const end = (why: string): void => {
    watchdog.rest()
    if (ended) return
    ended = true
    void worker.terminate()
    events.onBroken(why)
  }
  const watchdog = newWatchdog(() => end('The statement takes too long to read.'))
  let learning = 0
  const watch = (): void => {
    if (learning > 0) watchdog.watch(START_TIMEOUT_MS)
    else if (events.isIdle()) watchdog.rest()
    else watchdog.watch(events.timeoutMs())
  }
  worker.on('message', (message: FromWorker) => {
    if (ended) return
    if (message.does === 'broken') return end(TOO_COMPLEX)
    if (message.does === 'learned') learning--
    if (message.does === 'read') events.onReading(message)
    watch()
  })
  for (const event of ['error', 'exit']) worker.on(event, () => end(TOO_COMPLEX))
  watchdog.watch(START_TIMEOUT_MS)
  return {
    tell(message) {
      worker.postMessage(message, [])
      if (message.does === 'learn') learning++
      if (message.does === 'learn' || !watchdog.isWatching()) watch()
    },
    async stop() {
      ended = true
      watchdog.rest()
      await worker.terminate()
    },
  }
}

type Watchdog = { watch(ms: number): void; rest(): void; isWatching(): boolean }

/** Barks once when not called off in time. Answers that wait behind a busy event loop are heard first. */
function newWatchdog(bark: () => void): Watchdog {
  let timer: NodeJS.Timeout | undefined
  const rest = (): void => {
    clearTimeout(timer)
    timer = undefined
  }
  return {
    rest,
    isWatching: () => timer !== undefined,
    watch(ms) {
      rest()
      const mine = setTimeout(() => setImmediate(() => timer === mine && bark()), ms)
      timer = mine
    },
  }
}
