import { memoryUsage } from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { seedOf } from './random.ts'

/**
 * How a run is asked for: `SEED` (default fixed), `FRAMES` (how many at least), `MINUTES` (instead of FRAMES), `LIFE`
 * (only this life of the seed: how a failing one is played again).
 */
export type Run = {
  readonly seed: number
  readonly frames: number
  readonly minutes: number
  readonly life: number | undefined
}

const SEED = 20_260_101
/** Lives of clients at the same time. */
const AT_ONCE = 40

export function readRun(frames: number): Run {
  const { SEED: seed, FRAMES: wanted, MINUTES: minutes, LIFE: life } = process.env
  return {
    seed: seed === undefined ? SEED : Number(seed),
    frames: minutes === undefined ? Number(wanted ?? frames) : Infinity,
    minutes: minutes === undefined ? Infinity : Number(minutes),
    life: life === undefined ? undefined : Number(life),
  }
}

/** What one life came to: messages that count as fuzz, and what went wrong. */
export type Lived = { readonly frames: number; readonly problems: readonly string[] }

/** `warm`: bytes of the heap once caches were full; undefined where that was never so. */
export type Ran = { readonly lives: number; readonly frames: number; readonly warm: number | undefined }

/** Lives side by side until there were enough messages. Throws at the first life with a problem, saying how to see it again. */
export async function runLives(
  run: Run,
  live: (seed: number) => Promise<Lived>,
  counted: (frames: number) => void,
): Promise<Ran> {
  if (run.life !== undefined) {
    const { frames, problems } = await live(seedOf(run.seed, run.life))
    report(run, run.life, problems)
    return { lives: 1, frames, warm: undefined }
  }
  const end = performance.now() + run.minutes * 60_000
  let [lives, frames] = [0, 0]
  let warm: number | undefined
  const lane = async (): Promise<void> => {
    while (frames < run.frames && performance.now() < end) {
      const life = lives++
      const lived = await live(seedOf(run.seed, life))
      frames += lived.frames
      counted(lived.frames)
      report(run, life, lived.problems)
      if (life === WARM_UP) warm = heap()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return { lives, frames, warm }
}

/** Lives after which caches are full: what the heap has then is what it may keep. */
const WARM_UP = 600

function report({ seed }: Run, life: number, problems: readonly string[]): void {
  if (problems.length === 0) return
  const again = `SEED=${seed} LIFE=${life} node --test test/fuzz/fuzz.test.ts`
  throw new Error(`life ${life} of seed ${seed} (again: ${again}):\n${problems.slice(0, 5).join('\n')}`)
}

/** Bytes in use after a collection. */
export function heap(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, arrayBuffers } = memoryUsage()
  return heapUsed + arrayBuffers
}
