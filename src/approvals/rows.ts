import type { ApprovalId, Hold, Identity, OperationId, SessionId } from '../gateway/domain.ts'
import type { ApprovalRow, VoteRow } from '../store/schema.ts'
import type { Approval, ApprovalRequest, ApprovalState } from './approvals.ts'
import { requesterKey } from '../gateway/identity.ts'
import type { Cast } from './voting.ts'

/** The state as it is at `now`: a request or a ticket whose time ran out is `expired` without anyone writing it. */
export function stateAt(row: Pick<ApprovalRow, 'state' | 'expires_at'>, now: number): ApprovalState {
  const isOpen = row.state === 'pending' || row.state === 'approved'
  return isOpen && row.expires_at <= now ? 'expired' : (row.state as ApprovalState)
}

export function holdOf(row: Pick<ApprovalRow, 'hold'>): Hold {
  return JSON.parse(row.hold) as Hold
}

export function requesterOf(row: Pick<ApprovalRow, 'requester'>): Identity {
  return JSON.parse(row.requester) as Identity
}

export function toRow(id: ApprovalId, request: ApprovalRequest, now: number): ApprovalRow {
  return {
    id,
    state: 'pending',
    requester_key: requesterKey(request.requester),
    requester: JSON.stringify(request.requester),
    target: request.target,
    digest: request.digest,
    session: request.session,
    operation: request.operation,
    client: request.client,
    text: request.text,
    parameters: request.parameters === undefined ? null : JSON.stringify(request.parameters),
    touches: JSON.stringify(request.touches),
    hold: JSON.stringify(request.hold),
    preview: request.preview === undefined ? null : JSON.stringify(request.preview),
    created_at: now,
    expires_at: now + request.hold.waitMs + request.hold.ticketMs,
    spent_by: null,
    revision: 0,
  }
}

export function toApproval(row: ApprovalRow, votes: readonly VoteRow[], now: number): Approval {
  return {
    id: row.id as ApprovalId,
    state: stateAt(row, now),
    operation: row.operation as OperationId,
    session: row.session as SessionId,
    target: row.target,
    requester: requesterOf(row),
    client: row.client,
    text: row.text,
    ...(row.parameters !== null && { parameters: JSON.parse(row.parameters) as (string | null)[] }),
    digest: row.digest,
    touches: JSON.parse(row.touches) as string[],
    hold: holdOf(row),
    ...(row.preview !== null && { preview: JSON.parse(row.preview) as NonNullable<Approval['preview']> }),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    votes: votes.map(({ voter, vote, reason, at }) => ({
      by: voter,
      vote: vote as 'approve' | 'reject',
      ...(reason !== null && { reason }),
      at,
    })),
  }
}

export function toVoteRow(id: ApprovalId, cast: Cast): VoteRow {
  return {
    approval_id: id,
    voter: cast.by,
    person: cast.person ?? null,
    groups: JSON.stringify(cast.groups),
    vote: cast.vote,
    reason: cast.reason ?? null,
    at: cast.at,
  }
}

export function toCast(row: VoteRow): Cast {
  return {
    by: row.voter,
    vote: row.vote as 'approve' | 'reject',
    at: row.at,
    ...(row.person !== null && { person: row.person }),
    groups: JSON.parse(row.groups) as string[],
  }
}
