import type { SessionId } from '../gateway/domain.ts'
import { Fault, reasonOf } from '../gateway/fault.ts'
import type { Lease, LeaseSource, Revocation } from '../grants/lease.ts'

export type Tracking = {
  readonly target: string
  /** Sessions, whatever their source, that have a lease or are getting one. */
  readonly leased: Set<SessionId>
  readonly warn: (line: string) => void
  /** Called when none of its leases may be alive at the target any more. */
  readonly settled: () => void
}

/** A source that knows whether any lease of it may still be alive. */
export type TrackedLeases<C> = LeaseSource<C> & { readonly isSettled: () => boolean }

/** Leases that were taken, or may have been; `owed`: those not seen gone when they should have been. */
type Books = { readonly alive: Set<symbol>; readonly owed: Set<symbol> }

/** A client hears that there is no credential, or nothing at all; an operator has to hear why. */
export function trackLeases<C>(source: LeaseSource<C>, tracking: Tracking): TrackedLeases<C> {
  const books: Books = { alive: new Set(), owed: new Set() }
  const { leased } = tracking
  const told = (what: string, error: unknown): void =>
    tracking.warn(`target ${tracking.target}: ${what}: ${reasonOf(error)}`)
  const isSettled = (): boolean => books.alive.size === 0 && books.owed.size === 0
  const settle = (): void => {
    if (isSettled()) tracking.settled()
  }
  return {
    ...source,
    isSettled,
    take: async (request) => {
      const debt = Symbol(request.session)
      books.alive.add(debt)
      leased.add(request.session)
      try {
        const lease = await source.take(request)
        return {
          ...lease,
          revoke: async () => {
            const revocation = await revoke(lease, books, debt, told)
            leased.delete(request.session)
            settle()
            return revocation
          },
        }
      } catch (error) {
        if (mayHaveMade(error)) owe(books, debt)
        else books.alive.delete(debt)
        leased.delete(request.session)
        settle()
        told('no credential could be made', error)
        throw error
      }
    },
    sweep: async () => {
      const owed = [...books.owed]
      const swept = await source.sweep()
      if (swept.every(({ revocation }) => revocation.verified)) owed.forEach((debt) => books.owed.delete(debt))
      settle()
      return swept
    },
  }
}

/** A source that fails in another way has not come to asking for a credential. */
function mayHaveMade(error: unknown): boolean {
  return !(error instanceof Fault) || error.code === 'lease'
}

async function revoke(
  lease: Lease<unknown>,
  books: Books,
  debt: symbol,
  told: (what: string, error: unknown) => void,
): Promise<Revocation> {
  const revocation = await lease.revoke()
  if (revocation.verified) {
    books.alive.delete(debt)
    books.owed.delete(debt)
  } else {
    owe(books, debt)
    told(`${lease.name} could not be revoked yet, and will be tried again`, revocation.error)
  }
  return revocation
}

function owe({ alive, owed }: Books, debt: symbol): void {
  alive.delete(debt)
  owed.add(debt)
}
