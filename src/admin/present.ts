import type { Approval } from '../approvals/approvals.ts'
import { approvalUrl } from '../approvals/approvals.ts'
import { identityId } from '../gateway/identity.ts'
import type { Identity } from '../gateway/domain.ts'
import type { SessionSummary } from '../store/sessions-index.ts'
import type { ApprovalJson, IdentityJson, SessionJson, StandingJson } from './shapes.ts'

export function presentIdentity(identity: Identity): IdentityJson {
  const { kind, person, onBehalfOf } = identity
  return {
    id: identityId(identity),
    kind,
    ...(person !== undefined && { person }),
    ...(onBehalfOf !== undefined && { act: presentIdentity(onBehalfOf) }),
  }
}

/** Everything that a person decides on. `url` is that of the gateway. */
export function presentApproval(approval: Approval, url: string): ApprovalJson {
  const { id, state, operation, session, target, text, parameters, digest, touches, hold, preview } = approval
  return {
    id,
    state,
    operation,
    session,
    target,
    requester: presentIdentity(approval.requester),
    text,
    parameters: [...(parameters ?? [])],
    digest,
    touches: [...touches],
    rules: [...hold.rules],
    groups: [...hold.groups],
    quorum: hold.quorum,
    votes: approval.votes.map((vote) => ({ ...vote, at: iso(vote.at) })),
    ...(preview !== undefined && { preview: presentPreview(preview) }),
    created_at: iso(approval.createdAt),
    expires_at: iso(approval.expiresAt),
    url: approvalUrl(url, id),
  }
}

/** How the request stands, for the agent that made it: not who decides, nor who decided. */
export function presentStanding({ id, state, operation, expiresAt, votes }: Approval): StandingJson {
  const reason = votes.find((vote) => vote.vote === 'reject')?.reason
  return { id, state, operation, expires_at: iso(expiresAt), ...(reason !== undefined && { reason }) }
}

export function presentSession(session: SessionSummary): SessionJson {
  const { openedAt, closedAt, closeReason, firstSeq, lastSeq, operations, ...same } = session
  return {
    ...same,
    opened_at: iso(openedAt),
    ...(closedAt !== undefined && { closed_at: iso(closedAt) }),
    ...(closeReason !== undefined && { close_reason: closeReason }),
    first_seq: firstSeq,
    last_seq: lastSeq,
    operations,
  }
}

function presentPreview({
  rowsEstimate,
  note,
}: NonNullable<Approval['preview']>): NonNullable<ApprovalJson['preview']> {
  return { ...(rowsEstimate !== undefined && { rows_estimate: rowsEstimate }), ...(note !== undefined && { note }) }
}

/** ISO 8601 in UTC; the far end of what a date can say for times beyond it. */
export function iso(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString()
}
