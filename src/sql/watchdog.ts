import type { Worker } from 'node:worker_threads'

export type Watchdog = {
  /** Barks in `ms` when not called off before. */
  watch(ms: number, bark: () => void): NodeJS.Timeout
  rest(): void
  /** For that, or for anything. */
  isWatching(what?: NodeJS.Timeout): boolean
}

/** Watches one thing at a time. Answers that wait behind a busy event loop are heard first. */
export function newWatchdog(): Watchdog {
  let timer: NodeJS.Timeout | undefined
  const rest = (): void => {
    clearTimeout(timer)
    timer = undefined
  }
  return {
    rest,
    isWatching: (what = timer) => timer !== undefined && timer === what,
    watch(ms, bark) {
      rest()
      const mine = setTimeout(() => setImmediate(() => timer === mine && bark()), ms)
      timer = mine
      return mine
    },
  }
}

export type TextWatch = {
  readonly worker: Pick<Worker, 'cpuUsage'>
  readonly watchdog: Watchdog
  /** What the worker had used of its own time when it got the text, in ms. */
  readonly used: number
  /** Of the worker's own time for the text. */
  readonly ms: number
  readonly tooLong: () => void
}

/** A text is given up after so many times its time, whoever used that up. */
const MOST_TIMES = 10

/** By the worker's own time: on a busy machine no text is refused for what others use. */
export function watchText({ worker, watchdog, used, ms, tooLong }: TextWatch): void {
  /** `left`: of the most that it may take, in ms. */
  const look = (left: number): void => {
    if (left <= 0) return tooLong()
    // A thread that is deep in native code does not answer.
    const waiting = watchdog.watch(left, tooLong)
    const judge = ({ user, system }: NodeJS.CpuUsage): void => {
      if (!watchdog.isWatching(waiting)) return
      const own = used + ms - (user + system) / 1_000
      const next = Math.min(own, left)
      if (own <= 0) tooLong()
      else watchdog.watch(next, () => look(left - next))
    }
    // It rejects when the worker has ended, which is heard of anyway.
    worker.cpuUsage().then(judge, () => undefined)
  }
  watchdog.watch(ms, () => look((MOST_TIMES - 1) * ms))
}
