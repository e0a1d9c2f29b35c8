import { Worker } from 'node:worker_threads'
import { newWatchdog, watchText } from './watchdog.ts'
import type { ReadAnswer, Told, ToWorker } from './worker.ts'

/** To start, and to learn a catalog. */
const START_TIMEOUT_MS = 15_000
/** The parser recurses on the native stack; its memory is WebAssembly's and not part of the heap. */
const LIMITS = { stackSizeMb: 32, maxOldGenerationSizeMb: 256 }
const TOO_COMPLEX = 'The statement is too complex to read.'

/** A live worker thread. */
export type Running = { tell(message: ToWorker): void; stop(): Promise<void> }

export type WorkerEvents = {
  /** For the text that it has now, of the worker's own time: on a busy machine no text is refused for what others use. */
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
  const tooLong = (): void => end('The statement takes too long to read.')
  const watchdog = newWatchdog()
  let learning = 0
  let used = 0
  const watch = (): void => {
    if (learning > 0) watchdog.watch(START_TIMEOUT_MS, tooLong)
    else if (events.isIdle()) watchdog.rest()
    else watchText({ worker, watchdog, used, ms: events.timeoutMs(), tooLong })
  }
  worker.on('message', (message: Told) => {
    if (ended) return
    used = message.used
    if (message.does === 'broken') return end(TOO_COMPLEX)
    if (message.does === 'learned') learning--
    if (message.does === 'read') events.onReading(message)
    watch()
  })
  for (const event of ['error', 'exit']) worker.on(event, () => end(TOO_COMPLEX))
  watchdog.watch(START_TIMEOUT_MS, tooLong)
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
