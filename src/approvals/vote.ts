import type { Transaction } from 'kysely'
import type { ApprovalId, Identity, Refusal } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Schema } from '../store/schema.ts'
import type { Approval, Vote, VoteResult } from './approvals.ts'
import { identityId, personKey } from '../gateway/identity.ts'
import { toApproval, toCast, toVoteRow } from './rows.ts'
import { groupsOf, objectionToVote, tally, type Cast, type Objection } from './voting.ts'

/** One vote as it is cast. `urlOf`: where a person finds the approval. */
export type Casting = {
  readonly id: ApprovalId
  readonly voter: Identity
  readonly vote: Vote['vote']
  readonly reason?: string
  readonly now: number
  readonly urlOf: (id: ApprovalId) => string
}

/**
 * Checks, writes and counts a vote. The first statement locks the approval's row until the transaction ends, so of two
 * votes at once, on whatever gateway, the second sees the first.
 */
export async function castVote(trx: Transaction<Schema>, casting: Casting): Promise<VoteResult> {
  const { id, voter, now } = casting
  const row = await lock(trx, id)
  if (row === undefined) return { status: 404, refusal: noSuch(id) }
  const votes = await trx.selectFrom('votes').selectAll().where('approval_id', '=', id).orderBy('at').execute()
  const approval = toApproval(row, votes, now)
  const casts = votes.map(toCast)
  const objection = objectionToVote({ ...approval, casts }, voter)
  if (objection !== undefined) return refused(objection, approval, casting)
  const cast = castOf(approval, casting)
  await trx.insertInto('votes').values(toVoteRow(id, cast)).execute()
  return { approval: await count(trx, approval, [...casts, cast], now) }
}

async function lock(trx: Transaction<Schema>, id: ApprovalId): Promise<Schema['approvals'] | undefined> {
  await trx
    .updateTable('approvals')
    .set((row) => ({ revision: row('revision', '+', 1) }))
    .where('id', '=', id)
    .execute()
  return await trx.selectFrom('approvals').selectAll().where('id', '=', id).executeTakeFirst()
}

function castOf(approval: Approval, { voter, vote, reason, now }: Casting): Cast {
  const person = personKey(voter)
  return {
    by: identityId(voter),
    vote,
    at: now,
    groups: groupsOf(approval.hold, voter),
    ...(reason !== undefined && { reason }),
    ...(person !== undefined && { person }),
  }
}

/** The clock of the ticket starts at the approval. */
async function count(
  trx: Transaction<Schema>,
  approval: Approval,
  casts: readonly Cast[],
  now: number,
): Promise<Approval> {
  const state = tally(approval.hold, casts)
  const expiresAt = state === 'approved' ? now + approval.hold.ticketMs : approval.expiresAt
  await trx.updateTable('approvals').set({ state, expires_at: expiresAt }).where('id', '=', approval.id).execute()
  const { by, vote, reason, at } = casts.at(-1)!
  const last: Vote = { by, vote, at, ...(reason !== undefined && { reason }) }
  return { ...approval, state, expiresAt, votes: [...approval.votes, last] }
}

function refused({ status, code, message }: Objection, approval: Approval, { urlOf }: Casting): VoteResult {
  const more = {
    retry: 'never' as const,
    operation: approval.operation,
    ...(status === 409 && {
      approval: {
        id: approval.id,
        url: urlOf(approval.id),
        expires_at: new Date(approval.expiresAt).toISOString(),
      },
    }),
  }
  return { status, refusal: refuse(code, message, [], more) }
}

function noSuch(id: ApprovalId): Refusal {
  return refuse('denied', `There is no approval ${id}.`, [], { retry: 'never' })
}
