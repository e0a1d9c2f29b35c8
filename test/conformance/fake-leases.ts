import { Fault } from '../../src/gateway/fault.ts'
import type { LeaseSource } from '../../src/grants/lease.ts'

/** Leases that are counted, and can be made to fail. */
export interface FakeLeases {
  readonly made: number
  /** Made and not revoked. */
  readonly live: number
  /** From now on none can be made. */
  fail(): void
  source<Credential>(credential: Credential): LeaseSource<Credential>
}

export function fakeLeases(): FakeLeases {
  const live = new Set<string>()
  let made = 0
  let failing = false
  return {
    get made() {
      return made
    },
    get live() {
      return live.size
    },
    fail: () => {
      failing = true
    },
    source: (credential) => ({
      take: async () => {
        if (failing) throw new Fault('lease', 'the role cannot be made')
        const name = `lent_${++made}`
        live.add(name)
        const revoke = async (): Promise<{ readonly verified: boolean }> => {
          live.delete(name)
          return { verified: true }
        }
        return { name, credential, revoke }
      },
      sweep: async () => [],
      check: async () => [],
      [Symbol.asyncDispose]: async () => undefined,
    }),
  }
}
