import { identityId } from '../gateway/identity.ts'
import type { Clock } from '../gateway/clock.ts'
import type { GrantId, Identity, Refusal } from '../gateway/domain.ts'
import { newId } from '../gateway/ids.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Store } from '../store/store.ts'

/** A time-boxed right of one identity to use one target. Times are ms since the epoch. */
export type Grant = {
  readonly id: GrantId
  /** `provider/subject`. */
  readonly identity: string
  readonly target: string
  readonly purpose: string
  readonly openedAt: number
  readonly expiresAt: number
}

export type GrantRequest = {
  readonly identity: Identity
  readonly target: string
  readonly purpose: string
  /** When the lease that policy permits ends, in ms since the epoch. */
  readonly expiresAt: number
}

export interface Grants {
  /** Ends with the lease or with the token, whichever is first. Refused: `unavailable` when the clock went back. */
  open(request: GrantRequest): Promise<{ readonly grant: Grant } | { readonly refusal: Refusal }>
  /** Ending it twice is the same as once. */
  end(id: GrantId): Promise<void>
}

/** Clocks that are corrected, and clocks of several gateways, differ by this much without harm. */
const CLOCK_TOLERANCE_MS = 2_000

export function createGrants({ store, clock }: { readonly store: Store; readonly clock: Clock }): Grants {
  return {
    open: (request) => open(store, request, clock.now()),
    end: (id) => end(store, id, clock.now()),
  }
}

async function open(store: Store, request: GrantRequest, now: number): ReturnType<Grants['open']> {
  if (await isClockBack(store, now)) return { refusal: clockRefusal }
  const expiresAt = Math.min(request.expiresAt, request.identity.expiresAt)
  if (!(expiresAt > now)) return { refusal: refuse('identity', 'The token has expired: get a new one.') }
  const grant: Grant = {
    id: newId('grt', now),
    identity: identityId(request.identity),
    target: request.target,
    purpose: request.purpose,
    openedAt: now,
    expiresAt,
  }
  await write(store, grant, request.identity)
  return { grant }
}

const clockRefusal: Refusal = refuse(
  'unavailable',
  "The gateway's clock went back: no access is given until it has caught up.",
  [{ do: 'wait', hint: "an operator must check the gateway's clock" }],
)

/** Keeps the latest wall time seen in the store, so that a restart does not forget it. */
async function isClockBack(store: Store, now: number): Promise<boolean> {
  return await store.transaction(async (trx) => {
    await trx.updateTable('installation').set({ clock_seen_at: now }).where('clock_seen_at', '<', now).execute()
    const { clock_seen_at: seen } = await trx
      .selectFrom('installation')
      .select('clock_seen_at')
      .executeTakeFirstOrThrow()
    return now < seen - CLOCK_TOLERANCE_MS
  })
}

async function write(store: Store, grant: Grant, { kind, person }: Identity): Promise<void> {
  await store.query((db) =>
    db
      .insertInto('grants')
      .values({
        id: grant.id,
        identity: grant.identity,
        kind,
        person: person ?? null,
        target: grant.target,
        purpose: grant.purpose,
        opened_at: grant.openedAt,
        expires_at: grant.expiresAt,
        ended_at: null,
      })
      .execute(),
  )
}

async function end(store: Store, id: GrantId, now: number): Promise<void> {
  await store.query((db) =>
    db.updateTable('grants').set({ ended_at: now }).where('id', '=', id).where('ended_at', 'is', null).execute(),
  )
}
