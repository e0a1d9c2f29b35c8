import type { Clock } from '../gateway/clock.ts'
import { reasonOf } from '../gateway/fault.ts'

/** While nothing can be recorded that is said this often, in ms. */
const SAY_EVERY_MS = 10_000

/** For `onFailed` of a recorder: `warn` is told why entries could not be appended, now and then. */
export function sayFailures(clock: Clock, warn: (line: string) => void): (error: unknown) => void {
  let saidAt = -Infinity
  return (error) => {
    if (clock.monotonic() - saidAt < SAY_EVERY_MS) return
    saidAt = clock.monotonic()
    warn(reasonOf(error))
  }
}
