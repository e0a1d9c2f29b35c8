import { systemClock, type Clock } from '../../src/gateway/clock.ts'

/** A clock on which an hour can pass in no time. */
export interface FakeClock extends Clock {
  /** It is an hour later, and whoever slept for minutes wakes. */
  passAnHour(): void
}

const MINUTE_MS = 60_000

export function fakeClock(): FakeClock {
  let ahead = 0
  const passed = new AbortController()
  return {
    ...systemClock,
    now: () => systemClock.now() + ahead,
    sleep: (ms, signal) => {
      if (ms < MINUTE_MS) return systemClock.sleep(ms, signal)
      return systemClock.sleep(ms, signal ? AbortSignal.any([signal, passed.signal]) : passed.signal)
    },
    passAnHour: () => {
      ahead += 60 * MINUTE_MS
      passed.abort()
    },
  }
}
