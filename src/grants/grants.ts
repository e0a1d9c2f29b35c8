import type { Clock } from '../gateway/clock.ts'
import type { GrantId, Identity, Refusal } from '../gateway/domain.ts'
import type { Store } from '../store/store.ts'
import { createAsked } from './asked.ts'
import { clockBack } from './clock-back.ts'
import { createVerifiers } from './credential.ts'
import { makeGrant } from './make-grant.ts'
import { rowOf } from './rows.ts'
import type { ScramVerifier } from './scram-verifier.ts'

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

/** One that was asked for: it has a credential, and lasts longer than a session. */
export type AskedGrant = Grant & {
  /** Whose it is: who connects with its credential is that identity. */
  readonly who: Identity
  /** Actions and groups of actions beyond which it permits nothing; absent: what policy permits. */
  readonly operations?: readonly string[]
  readonly ended?: { readonly at: number; readonly reason: string }
}

export type GrantRequest = {
  readonly identity: Identity
  readonly target: string
  readonly purpose: string
  /** When the lease that policy permits ends, in ms since the epoch. */
  readonly expiresAt: number
  readonly operations?: readonly string[]
}

export type GrantFilter = {
  /** Only those of this identity, also those that another has for it; all, unless given. */
  readonly of?: Identity
  /** Only those that have not ended. */
  readonly live?: boolean
  /** Only those that something holds. */
  readonly held?: boolean
}

export interface Grants {
  /** On connect. Ends with the lease or with the token, whichever is first. Refused: `unavailable` when the clock went back. */
  open(request: GrantRequest): Promise<{ readonly grant: Grant } | { readonly refusal: Refusal }>
  /** The session of a grant is over: one that was made on connect ends with it. Twice is the same as once. */
  end(id: GrantId): Promise<void>

  /** With a credential of its own, shown once. Refused as `open`, and with `budget` beyond what one identity may have. */
  request(
    request: GrantRequest,
  ): Promise<{ readonly grant: AskedGrant; readonly password: string } | { readonly refusal: Refusal }>
  find(id: GrantId): Promise<AskedGrant | undefined>
  /** The newest first, at most 500. */
  list(filter: GrantFilter): Promise<readonly AskedGrant[]>
  /** The grant, if it can be used now. Refused: `grant` when it has ended, `unavailable` when the clock went back. */
  use(id: GrantId): Promise<{ readonly grant: AskedGrant } | { readonly refusal: Refusal }>
  /** Ends one that was asked for; undefined when it has ended before. */
  finish(id: GrantId, reason: string): Promise<AskedGrant | undefined>
  /** It ends with what holds it: at the latest with the gateway. */
  hold(id: GrantId): Promise<void>
  /** Those whose time is over and that nobody has finished. */
  overdue(): Promise<readonly AskedGrant[]>

  /** What the password of this user is checked against; made up, where there is no such grant. */
  verifier(user: string): Promise<ScramVerifier>
  /** The grant with this id and password, whether or not it has ended. */
  withPassword(user: string, password: string): Promise<AskedGrant | undefined>
}

export function createGrants({ store, clock }: { readonly store: Store; readonly clock: Clock }): Grants {
  return {
    open: (request) => open(store, request, clock.now()),
    end: (id) => end(store, id, clock.now()),
    ...createAsked(store, clock),
    verifier: createVerifiers(store),
  }
}

async function open(store: Store, request: GrantRequest, now: number): ReturnType<Grants['open']> {
  const refusal = await store.transaction((trx) => clockBack(trx, now))
  if (refusal) return { refusal }
  const made = makeGrant(request, now)
  if ('refusal' in made) return made
  const { grant } = made
  await store.query((db) => db.insertInto('grants').values(rowOf(grant, request.identity)).execute())
  return { grant }
}

async function end(store: Store, id: GrantId, now: number): Promise<void> {
  await store.query((db) =>
    db
      .updateTable('grants')
      .set({ ended_at: now })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .where('who', 'is', null)
      .execute(),
  )
}
