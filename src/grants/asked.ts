import { sql, type Transaction } from 'kysely'
import type { Clock } from '../gateway/clock.ts'
import type { GrantId, Identity, Refusal } from '../gateway/domain.ts'
import { actChain, requesterKey } from '../gateway/identity.ts'
import { refuse } from '../gateway/refusals.ts'
import type { GrantRow, Schema } from '../store/schema.ts'
import type { Store } from '../store/store.ts'
import { clockBack } from './clock-back.ts'
import { isPassword, makeCredential } from './credential.ts'
import type { AskedGrant, GrantFilter, GrantRequest, Grants } from './grants.ts'
import { makeGrant } from './make-grant.ts'
import { askedRow, toAsked } from './rows.ts'

type Asked = Omit<Grants, 'open' | 'end' | 'verifier'>

/** Live grants that one identity may have asked for. */
const MOST_LIVE = 100
const LISTED = 500

/** Grants that are asked for, in the store. */
export function createAsked(store: Store, clock: Clock): Asked {
  return {
    request: (asked) => request(store, asked, clock.now()),
    find: async (id) => toAsked(await rowAt(store, id)),
    list: (filter) => list(store, filter, clock.now()),
    use: (id) => use(store, id, clock.now()),
    finish: (id, reason) => finish(store, id, reason, clock.now()),
    hold: async (id) => {
      await store.query((db) => db.updateTable('grants').set({ held: 1 }).where('id', '=', id).execute())
    },
    overdue: () => overdue(store, clock.now()),
    withPassword: async (user, password) => {
      const row = await rowAt(store, user)
      return isPassword(password, row?.bearer) ? toAsked(row) : undefined
    },
  }
}

async function request(store: Store, asked: GrantRequest, now: number): ReturnType<Grants['request']> {
  const { password, kept } = await makeCredential()
  return await store.transaction(async (trx) => {
    const refusal = (await clockBack(trx, now)) ?? (await tooMany(trx, asked.identity, now))
    if (refusal) return { refusal }
    const made = makeGrant(asked, now)
    if ('refusal' in made) return made
    const { identity: who, operations } = asked
    const grant: AskedGrant = { ...made.grant, who, ...(operations && { operations }) }
    await trx.insertInto('grants').values(askedRow(grant, kept)).execute()
    return { grant, password }
  })
}

async function tooMany(trx: Transaction<Schema>, identity: Identity, now: number): Promise<Refusal | undefined> {
  const { live } = await trx
    .selectFrom('grants')
    .select((select) => select.fn.countAll<number>().as('live'))
    .where('requester_key', '=', requesterKey(identity))
    .where('ended_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
  if (live < MOST_LIVE) return undefined
  return refuse('budget', `You have ${MOST_LIVE} live grants, and may not have more.`, [
    { do: 'request', command: 'sallyport revoke <id of a grant>' },
  ])
}

function rowAt(store: Store, id: string): Promise<GrantRow | undefined> {
  return store.query((db) => db.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirst())
}

async function use(store: Store, id: GrantId, now: number): ReturnType<Grants['use']> {
  const refusal = await store.transaction((trx) => clockBack(trx, now))
  if (refusal) return { refusal }
  const grant = toAsked(await rowAt(store, id))
  if (grant && !grant.ended && grant.expiresAt > now) return { grant }
  return { refusal: refuse('grant', `Grant ${id} has ended.`, [again(grant?.target)]) }
}

function again(target = '<target>'): Refusal['remedy'][number] {
  return { do: 'request', command: `sallyport request ${target} --purpose …` }
}

async function list(store: Store, { of, live, held }: GrantFilter, now: number): Promise<readonly AskedGrant[]> {
  const rows = await store.query((db) => {
    let query = db.selectFrom('grants').selectAll().where('who', 'is not', null)
    if (live) query = query.where('ended_at', 'is', null).where('expires_at', '>', now)
    if (held) query = query.where('held', '=', 1)
    if (of) query = query.where(sql<boolean>`requester_key like ${patternOf(of)} escape '!'`)
    return query.orderBy('opened_at', 'desc').orderBy('id', 'desc').limit(LISTED).execute()
  })
  const grants = rows.flatMap((row) => toAsked(row) ?? [])
  return of ? grants.filter((grant) => concerns(grant, of)) : grants
}

/** Finds the identity's link in a `requester_key`, and in some databases others that differ in case. */
function patternOf({ kind, provider, subject }: Identity): string {
  return `%${JSON.stringify([kind, provider, subject]).replaceAll(/[%_!]/g, '!$&')}%`
}

/** It is theirs, or another has it in their name. An agent has its own only. */
export function concerns({ who }: Pick<AskedGrant, 'who'>, identity: Identity): boolean {
  const [first, ...behind] = actChain(who).map(requesterLink)
  const own = requesterLink(identity)
  const isAlone = identity.kind === 'User' && identity.onBehalfOf === undefined
  return isAlone ? [first, ...behind].includes(own) : requesterKey(who) === requesterKey(identity)
}

function requesterLink({ kind, provider, subject }: Identity): string {
  return JSON.stringify([kind, provider, subject])
}

async function finish(store: Store, id: GrantId, reason: string, now: number): Promise<AskedGrant | undefined> {
  const { numUpdatedRows } = await store.query((db) =>
    db
      .updateTable('grants')
      .set({ ended_at: now, end_reason: reason })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .where('who', 'is not', null)
      .executeTakeFirst(),
  )
  return Number(numUpdatedRows) === 0 ? undefined : toAsked(await rowAt(store, id))
}

async function overdue(store: Store, now: number): Promise<readonly AskedGrant[]> {
  const rows = await store.query((db) =>
    db
      .selectFrom('grants')
      .selectAll()
      .where('who', 'is not', null)
      .where('ended_at', 'is', null)
      .where('expires_at', '<=', now)
      .limit(LISTED)
      .execute(),
  )
  return rows.flatMap((row) => toAsked(row) ?? [])
}
