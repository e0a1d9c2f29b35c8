import type { Clock } from './gateway/clock.ts'
import { reasonOf } from './gateway/fault.ts'
import type { LeaseSource } from './grants/lease.ts'
import type { Recorder } from './record/recorder.ts'

/** `first` resolves when every target was swept once, or could not be reached. */
export type Sweeping = AsyncDisposable & { readonly first: Promise<void> }

type Swept = { readonly name: string; readonly leases: LeaseSource<unknown> }

/** Revokes what crashed gateways of this installation left at the targets: now, and then every so often. */
export function sweepOrphans(
  targets: () => readonly Swept[],
  recorder: Recorder,
  clock: Clock,
  { everyMs, warn }: { readonly everyMs: number; readonly warn: (line: string) => void },
): Sweeping {
  const stop = new AbortController()
  const failing = new WeakSet<object>()
  const sweep = async (): Promise<void> => {
    await Promise.all(targets().map((target) => sweepOne(target, recorder, failing, warn)))
  }
  const first = sweep()
  const going = (async () => {
    await first
    for (;;) {
      await clock.sleep(everyMs, stop.signal)
      if (stop.signal.aborted) return
      await sweep()
    }
  })()
  return {
    first,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await going
    },
  }
}

/** `failing`: sources of leases whose last sweep failed; that is said once. */
async function sweepOne(
  { name, leases }: Swept,
  recorder: Recorder,
  failing: WeakSet<object>,
  warn: (line: string) => void,
): Promise<void> {
  try {
    for (const { name: lease, revocation } of await leases.sweep()) {
      await recorder.append({ type: 'lease.revoked', target: name, lease, reason: 'orphan', ...revocation }, 'written')
    }
    failing.delete(leases)
  } catch (error) {
    if (!failing.has(leases))
      warn(`target ${name}: leases of a crashed gateway could not be looked for: ${reasonOf(error)}`)
    failing.add(leases)
  }
}
