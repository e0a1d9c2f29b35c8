/** Messages of one campaign so far, shared between threads: an Int32. */
export type Counter = SharedArrayBuffer

export type Progress = Disposable & {
  /** For one campaign; it has a problem once it has counted nothing for `STALLED_MS`. */
  counter(stalled: (why: string) => void): Counter & Disposable
  /** Messages so far, of all campaigns. */
  readonly frames: number
  /** Since the start, in s. */
  readonly seconds: number
}

const EVERY_MS = 30_000
/** A campaign waits for nothing longer than a minute: one that counts nothing for so long hangs. In ms. */
const STALLED_MS = 300_000

export function counting(counter: Counter): (frames: number) => void {
  const count = new Int32Array(counter)
  return (frames) => void Atomics.add(count, 0, frames)
}

/** Tells every 30 s how far all campaigns are: messages, messages a second since the last time, memory. */
export function watchProgress(say: (line: string) => void): Progress {
  const counters: Int32Array[] = []
  const began = performance.now()
  const frames = (): number => counters.reduce((sum, count) => sum + Atomics.load(count, 0), 0)
  let before = 0
  const timer = setInterval(() => {
    const now = frames()
    say(`${inWords(now)} messages, ${inWords(((now - before) * 1_000) / EVERY_MS)} a second, RSS ${rss()} MiB`)
    before = now
  }, EVERY_MS)
  return {
    get frames() {
      return frames()
    },
    get seconds() {
      return (performance.now() - began) / 1_000
    },
    counter: (stalled) => {
      const counter = new SharedArrayBuffer(4)
      const count = new Int32Array(counter)
      counters.push(count)
      const watching = watchStall(count, stalled)
      return Object.assign(counter, { [Symbol.dispose]: () => clearInterval(watching) })
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

function watchStall(count: Int32Array, stalled: (why: string) => void): NodeJS.Timeout {
  let seen = -1
  return setInterval(() => {
    const now = Atomics.load(count, 0)
    if (now === seen) stalled(`no message was counted for ${STALLED_MS / 1_000} s, behind ${now}`)
    seen = now
  }, STALLED_MS)
}

/** Of the whole process, in MiB. */
const rss = (): number => Math.round(process.memoryUsage.rss() / (1 << 20))

export function inWords(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}
