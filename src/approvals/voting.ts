import type { Hold, Identity, RefusalCode } from '../gateway/domain.ts'
import type { ApprovalState, Vote } from './approvals.ts'
import { identityId, isBehind, isPerson, personKey } from '../gateway/identity.ts'

/** A vote with what it was counted by: the human behind it, and those of the hold's groups the voter was in. */
export type Cast = Vote & { readonly person?: string; readonly groups: readonly string[] }

/** What is being voted on. */
export type Ballot = {
  readonly state: ApprovalState
  readonly hold: Hold
  readonly requester: Identity
  readonly casts: readonly Cast[]
}

export type Objection = { readonly status: 403 | 409; readonly code: RefusalCode; readonly message: string }

const SETTLED: Record<Exclude<ApprovalState, 'pending'>, readonly [RefusalCode, string]> = {
  approved: ['denied', 'is approved already'],
  spent: ['denied', 'was approved and used already'],
  withdrawn: ['denied', 'was withdrawn'],
  rejected: ['approval_rejected', 'was rejected already'],
  expired: ['approval_expired', 'has expired'],
}

/** Why this voter can never have a say, whatever is voted on; undefined when it may. */
export function objectionToVoter(voter: Identity): Objection | undefined {
  if (isPerson(voter)) return undefined
  return { status: 403, code: 'denied', message: 'Only a person, in their own name, can approve or reject.' }
}

/** Why this vote does not count; undefined when it does. */
export function objectionToVote(ballot: Ballot, voter: Identity): Objection | undefined {
  const unfit = objectionToVoter(voter)
  if (unfit !== undefined) return unfit
  if (isBehind(voter, ballot.requester)) {
    return { status: 403, code: 'denied', message: 'Nobody decides on their own request, nor on one made for them.' }
  }
  if (groupsOf(ballot.hold, voter).length === 0) {
    const groups = ballot.hold.groups.join(', ')
    return { status: 403, code: 'denied', message: `Only members of these groups decide on this request: ${groups}.` }
  }
  if (ballot.state !== 'pending') {
    const [code, what] = SETTLED[ballot.state]
    return { status: 409, code, message: `This request ${what}.` }
  }
  if (hasVoted(ballot.casts, voter)) {
    return { status: 409, code: 'denied', message: 'You have voted on this request: each human has one vote.' }
  }
  return undefined
}

/** Those of the hold's groups that the voter is in. */
export function groupsOf(hold: Hold, voter: Identity): readonly string[] {
  return hold.groups.filter((group) => voter.groups.includes(group))
}

/** What the votes come to: one rejection rejects; approved when every group and enough humans said yes. */
export function tally(hold: Hold, casts: readonly Cast[]): 'pending' | 'approved' | 'rejected' {
  if (casts.some((cast) => cast.vote === 'reject')) return 'rejected'
  const isCovered = hold.groups.every((group) => casts.some((cast) => cast.groups.includes(group)))
  return casts.length > 0 && isCovered && casts.length >= hold.quorum ? 'approved' : 'pending'
}

function hasVoted(casts: readonly Cast[], voter: Identity): boolean {
  const person = personKey(voter)
  return casts.some((cast) => cast.by === identityId(voter) || (person !== undefined && cast.person === person))
}
