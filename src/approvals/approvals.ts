import type {
  Address,
  ApprovalId,
  Digest,
  Hold,
  Identity,
  OperationId,
  Preview,
  Refusal,
  SessionId,
} from '../gateway/domain.ts'

/** A held operation as it is put to humans. Built from the parsed operation, never from the agent's words. */
export type ApprovalRequest = {
  readonly operation: OperationId
  readonly session: SessionId
  readonly target: string
  readonly requester: Identity
  readonly client: Address
  readonly text: string
  readonly parameters?: readonly (string | null)[]
  readonly digest: Digest
  /** In words: `sql.update on Table orders/public.customers`. */
  readonly touches: readonly string[]
  readonly hold: Hold
  readonly preview?: Preview
}

export type ApprovalState = 'pending' | 'approved' | 'rejected' | 'expired' | 'withdrawn' | 'spent'

export type Vote = {
  /** `provider/subject`. */
  readonly by: string
  readonly vote: 'approve' | 'reject'
  readonly reason?: string
  readonly at: number
}

export type Approval = ApprovalRequest & {
  readonly id: ApprovalId
  readonly state: ApprovalState
  /** ms since the epoch; while pending the end of the request, once approved the end of the ticket. */
  readonly expiresAt: number
  readonly createdAt: number
  readonly votes: readonly Vote[]
}

/** What a vote came to: the approval after it, or why it does not count. */
export type VoteResult =
  | { readonly approval: Approval }
  | { readonly refusal: Refusal; readonly status: 403 | 404 | 409 }

/** The truth is in the store; spending is one conditional UPDATE, so two gateways cannot spend twice. */
export interface Approvals {
  /**
   * The open request for this identity, target and digest, made if there is none. A request that was approved and whose
   * ticket has not run out is returned as `approved`.
   */
  request(request: ApprovalRequest): Promise<Approval>
  /** Resolves when it is no longer pending, or after `ms`, or when `signal` aborts; with its state then. */
  settled(id: ApprovalId, ms: number, signal: AbortSignal): Promise<Approval>
  /** True once for an approved one whose ticket has not run out; it is `spent` then. */
  spend(id: ApprovalId, operation: OperationId): Promise<boolean>
  /** The client went away or cancelled: a pending one becomes `withdrawn`. */
  withdraw(id: ApprovalId): Promise<void>
  /** A human's answer; refused for the requester, anyone in its chain, the same person, and every non-`User`. */
  vote(id: ApprovalId, voter: Identity, vote: 'approve' | 'reject', reason?: string): Promise<VoteResult>
  find(id: ApprovalId): Promise<Approval | undefined>
  list(state?: ApprovalState): Promise<readonly Approval[]>
}

/** The link to an approval for humans; `base` is `url` of the config. It carries no authority by itself. */
export function approvalUrl(base: string, id: ApprovalId): string {
  return `${base.replace(/\/+$/, '')}/approvals/${id}`
}
