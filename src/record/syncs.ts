import type { Tail } from './tail.ts'

/** Makes writes durable for many waiters at once: one sync runs at a time, who comes meanwhile shares the next one. */
export interface Syncs {
  /** Resolves when everything written before the call is durable; rejects with the Fault of the tail. */
  wait(): Promise<void>
}

export function groupSyncs(tail: Tail): Syncs {
  let waiting: PromiseWithResolvers<void> | undefined
  let running = false

  async function run(): Promise<void> {
    running = true
    while (waiting) {
      const group = waiting
      waiting = undefined
      try {
        await tail.sync()
        group.resolve()
      } catch (error) {
        group.reject(error)
        // Who came meanwhile wrote to the same file: whether that is on disk can no longer be known.
        rejectLate(error)
      }
    }
    running = false
  }

  function rejectLate(error: unknown): void {
    const late = waiting
    waiting = undefined
    late?.reject(error)
  }

  return {
    wait: () => {
      waiting ??= Promise.withResolvers<void>()
      const { promise } = waiting
      if (!running) void run()
      return promise
    },
  }
}
