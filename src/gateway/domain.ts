/** The nouns of the gateway. No behaviour, no imports: every other file may read this one. */

export type OperationId = `op_${string}`
export type SessionId = `ses_${string}`
export type GrantId = `grt_${string}`
export type ApprovalId = `apr_${string}`

/** Lower-case hex SHA-256 over everything that gives an operation its meaning. */
export type Digest = string

export type PrincipalKind = 'User' | 'Agent' | 'Workload'

/** Who is asking, from a verified token. `provider/subject` is the entity id in policy and records. */
export type Identity = {
  readonly kind: PrincipalKind
  readonly provider: string
  readonly subject: string
  readonly groups: readonly string[]
  /** The verified claim that says two accounts are one human; compared across providers. */
  readonly person?: string
  /** When the token ends, in ms since the epoch. */
  readonly expiresAt: number
  /** The identity this one acts for (RFC 8693 `act`, seen from the actor). */
  readonly onBehalfOf?: Identity
}

/** A node of the policy's resource tree, e.g. Table `orders/public.customers` in Schema `orders/public` in Target `orders`. */
export type Resource = { readonly type: string; readonly id: string; readonly parent?: Resource }

export type FactValue = boolean | number | string | readonly string[]

/** What a policy may ask about a touch beyond action and resource; becomes part of Cedar's `context`. */
export type Facts = {
  /** True when the whole resource may be affected, or when that is not known. */
  readonly unbounded: boolean
  /** JSON pointer -> canonical text. */
  readonly args: Readonly<Record<string, string>>
  /** Facts of the protocol's own, under the names of the policy schema (`has_where`, `functions`, `predicates`). */
  readonly own: Readonly<Record<string, FactValue>>
}

/** One action on one resource that an operation performs, e.g. `sql.delete` on Table `orders/public.customers`. */
export type Touch = { readonly action: string; readonly resource: Resource; readonly facts: Facts }

export type RefusalCode =
  | 'denied'
  | 'approval_required'
  | 'approval_rejected'
  | 'approval_expired'
  | 'frozen'
  | 'budget'
  | 'loop'
  | 'unreadable'
  | 'too_large'
  | 'unrecordable'
  | 'identity'
  | 'grant'
  | 'killed'
  | 'cancelled'
  | 'unavailable'

export type Remedy =
  | { readonly do: 'change'; readonly hint: string }
  | { readonly do: 'request'; readonly command: string }
  | { readonly do: 'wait'; readonly hint: string }
  | { readonly do: 'ask'; readonly hint: string }

/** A "no" with a code and a remedy, exactly as it goes out as JSON (docs/reference/refusals.md). A value, never thrown. */
export type Refusal = {
  readonly v: 1
  readonly code: RefusalCode
  readonly message: string
  readonly rule?: string
  readonly operation?: OperationId
  readonly retry: 'never' | 'after-approval' | 'after-change' | 'later'
  readonly retry_after_s?: number
  readonly remedy: readonly Remedy[]
  readonly approval?: { readonly id: ApprovalId; readonly url: string; readonly expires_at: string }
  /** A syntax error: 1-based character of the operation's text. */
  readonly position?: number
}

/**
 * `none`: nothing changes at the target. `revocable`: a rollback undoes it. `final`: takes effect at once (an autocommit
 * write, COMMIT); its record is on disk, not only written, before it is sent.
 */
export type Effect = 'none' | 'revocable' | 'final'

/** One thing the client asked the target to do, read once: policy, card, record and target get this same value. */
export type Operation = {
  readonly id: OperationId
  /** `prepare` needs the verdict of what it prepares, but a hold lets it pass: nothing runs yet. */
  readonly stage: 'prepare' | 'execute'
  readonly touches: readonly [Touch, ...Touch[]]
  readonly text: string
  /** As it goes to the target, when that is another text: hidden values are replaced in it. Part of the digest. */
  readonly sent?: string
  /** Bound parameters in readable form, in order; null is SQL NULL. Part of the digest. */
  readonly parameters?: readonly (string | null)[]
  readonly digest: Digest
  readonly effect: Effect
  readonly inTransaction: boolean
  /** Facts that were found out at the target because a policy reads them; those of its touches have them too. */
  readonly measured?: Facts['own']
  /** What the protocol could not read, or what no rule may allow: refused before policy is asked. */
  readonly objection?: Refusal
}

/** The policies a decision was made under: hex SHA-256 of the set. */
export type PolicyHash = string

export type Allow = { readonly verdict: 'allow'; readonly rules: readonly string[]; readonly policy: PolicyHash }
export type Hold = {
  readonly verdict: 'hold'
  readonly rules: readonly string[]
  readonly policy: PolicyHash
  /** Every one of these groups must approve. */
  readonly groups: readonly string[]
  readonly quorum: number
  readonly waitMs: number
  readonly ticketMs: number
  readonly previews: readonly 'rows'[]
}
export type Deny = {
  readonly verdict: 'deny'
  readonly rules: readonly string[]
  readonly policy: PolicyHash
  readonly refusal: Refusal
}
export type Decision = Allow | Hold | Deny

/** What an approver is told an operation would do, measured by the gateway and not told by the agent. */
export type Preview = { readonly rowsEstimate?: number; readonly note?: string }

/** Host and port of the other end, as text. */
export type Address = string
