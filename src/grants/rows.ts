import type { GrantId, Identity } from '../gateway/domain.ts'
import { identityId, requesterKey } from '../gateway/identity.ts'
import type { GrantRow } from '../store/schema.ts'
import type { AskedGrant, Grant } from './grants.ts'

/** How the password of a grant is kept. */
export type KeptCredential = Required<Readonly<Record<'verifier' | 'bearer', string>>>

const MADE_ON_CONNECT = {
  who: null,
  requester_key: null,
  operations: null,
  verifier: null,
  bearer: null,
  end_reason: null,
  held: null,
}

export function rowOf(grant: Grant, { kind, person }: Identity): GrantRow {
  return {
    id: grant.id,
    identity: grant.identity,
    kind,
    person: person ?? null,
    target: grant.target,
    purpose: grant.purpose,
    opened_at: grant.openedAt,
    expires_at: grant.expiresAt,
    ended_at: null,
    ...MADE_ON_CONNECT,
  }
}

export function askedRow(grant: AskedGrant, credential: KeptCredential): GrantRow {
  return {
    ...rowOf(grant, grant.who),
    ...credential,
    who: JSON.stringify(grant.who),
    requester_key: requesterKey(grant.who),
    operations: grant.operations ? JSON.stringify(grant.operations) : null,
  }
}

/** Undefined for a grant that was made on connect. */
export function toAsked(row: GrantRow | undefined): AskedGrant | undefined {
  if (!row || row.who === null) return undefined
  const who = JSON.parse(row.who) as Identity
  return {
    id: row.id as GrantId,
    identity: identityId(who),
    target: row.target,
    purpose: row.purpose,
    openedAt: row.opened_at,
    expiresAt: row.expires_at,
    who,
    ...(row.operations !== null && { operations: JSON.parse(row.operations) as string[] }),
    ...(row.ended_at !== null && { ended: { at: row.ended_at, reason: row.end_reason ?? '' } }),
  }
}
