import type { Clock } from '../gateway/clock.ts'
import { reasonOf } from '../gateway/fault.ts'
import type { Recorder } from './recorder.ts'

/** While nothing can be recorded that is said this often, in ms. */
const SAY_EVERY_MS = 10_000

/** The same recorder; `warn` is told why an entry could not be appended. */
export function watchedRecorder(recorder: Recorder, clock: Clock, warn: (line: string) => void): Recorder {
  let saidAt = -Infinity
  const failed = (error: unknown): never => {
    if (clock.monotonic() - saidAt >= SAY_EVERY_MS) {
      saidAt = clock.monotonic()
      warn(reasonOf(error))
    }
    throw error
  }
  return {
    append: (entry, durability) => recorder.append(entry, durability).catch(failed),
    checkpoint: () => recorder.checkpoint(),
    [Symbol.asyncDispose]: () => recorder[Symbol.asyncDispose](),
  }
}
