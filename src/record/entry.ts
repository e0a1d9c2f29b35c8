import type {
  Address,
  ApprovalId,
  Digest,
  Effect,
  Facts,
  GrantId,
  Identity,
  Operation,
  OperationId,
  PolicyHash,
  PrincipalKind,
  Refusal,
  SessionId,
} from '../gateway/domain.ts'
import type { Approval, Vote } from '../approvals/approvals.ts'
import { identityId } from '../gateway/identity.ts'
import type { Outcome } from '../gateway/exchange.ts'

/** An identity as records show it: `id` is `provider/subject`; `act` is whom it acts for. */
export type RecordedIdentity = {
  readonly kind: PrincipalKind
  readonly id: string
  readonly groups: readonly string[]
  readonly person?: string
  readonly act?: RecordedIdentity
}

/** Repeated in each entry of a session, so that one line can be read alone. */
export type InSession = { readonly session: SessionId; readonly target: string; readonly identity: string }

export type SessionOpened = InSession & {
  readonly type: 'session.opened'
  readonly who: RecordedIdentity
  readonly protocol: string
  readonly client: Address
  readonly application?: string
  readonly grant: GrantId
  readonly expires_at: string
  /** The credential made at the target, by name (a role); never the credential. */
  readonly lease: string
  readonly rules: readonly string[]
  readonly policy: PolicyHash
}

/** A connection that got no session, and why. */
export type SessionRefused = {
  readonly type: 'session.refused'
  readonly target: string
  readonly identity?: string
  readonly client: Address
  readonly refusal: Refusal
}

/** A token of the gateway was given for others (RFC 8693); stored before it is given. */
export type TokenExchanged = {
  readonly type: 'token.exchanged'
  /** `provider/subject` of who acts with it; `who` with everybody it acts for. */
  readonly identity: string
  readonly who: RecordedIdentity
  readonly client: Address
  readonly subject: RecordedIdentity
  readonly actor?: RecordedIdentity
  /** Its `jti`; never the token. */
  readonly token: string
  readonly expires_at: string
}

/** No token was given for others; `subject` and `actor` as far as their tokens were good. */
export type ExchangeRefused = {
  readonly type: 'token.refused'
  readonly client: Address
  readonly subject?: string
  readonly actor?: string
  /** As in the answer (RFC 6749 section 5.2). */
  readonly error: string
  readonly message: string
}

/** The command, stored before it is sent. `hold` is followed by a second one of the same operation: allow or deny. */
export type OperationDecided = InSession & {
  readonly type: 'operation'
  readonly operation: OperationId
  readonly stage: 'prepare' | 'execute'
  readonly text: string
  /** As it goes to the target, when that is another text. */
  readonly sent?: string
  readonly parameters?: readonly (string | null)[]
  readonly digest: Digest
  readonly touches: readonly string[]
  readonly effect: Effect
  /** Facts that were found out at the target before it was decided (`rows_estimate`). */
  readonly measured?: Facts['own']
  readonly decision: 'allow' | 'hold' | 'deny'
  readonly rules: readonly string[]
  readonly policy: PolicyHash
  readonly refusal?: Refusal
  readonly approval?: { readonly id: ApprovalId; readonly by: readonly string[] }
}

/** An operation whose rows the target is about to be asked to estimate, to decide it or for the approver; stored before it is asked. */
export type Previewed = InSession & {
  readonly type: 'preview'
  readonly operation: OperationId
  readonly text: string
  readonly parameters?: readonly (string | null)[]
}

/** A masked piece of an answer, as the client gets it, stored before the client has it. */
export type Answered = InSession & {
  readonly type: 'answer'
  /** Absent: a message that belongs to no operation. */
  readonly operation?: OperationId
  /** Size in bytes of the part. */
  readonly size: number
  /** Base64 of the wire bytes; absent once the operation's answer is over the size kept whole. */
  readonly bytes?: string
  /** Rolling SHA-256 (hex) over the pieces of which `bytes` is absent, this one included. */
  readonly digest?: string
  /** On the last piece of an operation's answer. */
  readonly outcome?: Outcome
}

/** A piece of an operation's input (rows of a COPY), exactly as it is sent to the target, stored before it is sent. */
export type InputTaken = InSession & {
  readonly type: 'input'
  readonly operation: OperationId
  /** Size in bytes of the piece. */
  readonly size: number
  /** Base64 of the wire bytes; absent once the operation's input is over the size kept whole. */
  readonly bytes?: string
  /** Rolling SHA-256 (hex) over the pieces of which `bytes` is absent, this one included. */
  readonly digest?: string
}

export type Voted = InSession & {
  readonly type: 'vote'
  readonly operation: OperationId
  readonly approval: ApprovalId
  readonly by: string
  readonly vote: 'approve' | 'reject'
  readonly reason?: string
}

export type SessionClosed = InSession & { readonly type: 'session.closed'; readonly reason: string }

/** The credential at the target is gone, and that was checked there. `verified` false: it is being retried. */
export type LeaseRevoked = {
  readonly type: 'lease.revoked'
  readonly session?: SessionId
  readonly target: string
  readonly lease: string
  readonly verified: boolean
  readonly reason: 'session ended' | 'orphan'
  readonly error?: string
}

/** A grant that was asked for and given; stored before its credential is told. */
export type GrantOpened = {
  readonly type: 'grant.opened'
  readonly grant: GrantId
  readonly target: string
  readonly identity: string
  readonly who: RecordedIdentity
  readonly purpose: string
  /** What it was narrowed to: actions and groups of actions. */
  readonly operations?: readonly string[]
  readonly expires_at: string
  readonly rules: readonly string[]
  readonly policy: PolicyHash
}

/** A grant that was asked for and not given. */
export type GrantRefused = {
  readonly type: 'grant.refused'
  readonly target: string
  readonly identity: string
  readonly who: RecordedIdentity
  readonly purpose: string
  readonly operations?: readonly string[]
  readonly refusal: Refusal
}

/** A grant that was asked for is over, and its sessions with it. */
export type GrantEnded = {
  readonly type: 'grant.ended'
  readonly grant: GrantId
  readonly target: string
  readonly identity: string
  /** `expired`, `revoked by corp/ann`, `its holder went away`, `the gateway stopped`. */
  readonly reason: string
}

/** A changed config or changed policies are in force from here on. */
export type ConfigReloaded = {
  readonly type: 'config.reloaded'
  readonly policy: PolicyHash
  /** What is other than before: `policies`, `targets.orders`, `identity.corp`, `admin`, `tls`. */
  readonly changed: readonly string[]
}

/** A change was refused whole; what was in force before still is. */
export type ConfigRefused = {
  readonly type: 'config.refused'
  /** Of the policies that stay in force. */
  readonly policy: PolicyHash
  /** As `sallyport check` prints them: `file:line: key: text`. */
  readonly errors: readonly string[]
}

/** The gateway opened the log. */
export type LogOpened = {
  readonly type: 'log.opened'
  readonly installation: string
  readonly replica: string
  /** Hex SHA-256 of the public checkpoint key (DER, SubjectPublicKeyInfo). */
  readonly key: string
}

/** The first record of each segment file. */
export type SegmentStarted = {
  readonly type: 'log.segment'
  readonly installation: string
  readonly replica: string
  /** Hash of the record before it; 64 zeros for the first. */
  readonly previous: string
  /** Why a new file: the log is new, the one before it was full, or fdatasync failed on it. */
  readonly reason: 'new' | 'full' | 'sync failed'
  /** After a failed fdatasync: records from this one up to here may not survive a loss of power. */
  readonly unsynced_from?: number
}

/** A crash left an incomplete last record; it was cut off, and is kept here. */
export type LogRecovered = {
  readonly type: 'log.recovered'
  /** Size in bytes of what was cut off. */
  readonly torn: number
  /** Hex SHA-256 of what was cut off. */
  readonly digest: string
  /** Base64 of what was cut off; its first 64 KiB if there was more. */
  readonly bytes: string
}

/** The gateway's signature over the head of the chain: the record directly before this one (docs/reference/records.md). */
export type Checkpointed = {
  readonly type: 'checkpoint'
  readonly installation: string
  /** `seq` of the record that is signed. */
  readonly upto: number
  /** `hash` of the record that is signed. */
  readonly head: string
  readonly signed_at: string
  /** Ed25519, base64url. */
  readonly signature: string
}

/** Versioned union: it only grows. Every entry is written with `"v": 1`, `seq`, `at`. */
export type Entry =
  | SessionOpened
  | SessionRefused
  | TokenExchanged
  | ExchangeRefused
  | OperationDecided
  | Previewed
  | Answered
  | InputTaken
  | Voted
  | SessionClosed
  | LeaseRevoked
  | GrantOpened
  | GrantRefused
  | GrantEnded
  | ConfigReloaded
  | ConfigRefused
  | LogOpened
  | SegmentStarted
  | LogRecovered
  | Checkpointed

/** An entry as it stands in the log: what one line of it parses to. */
export type StoredEntry = Entry & {
  readonly v: 1
  /** From 1, without gaps over the whole log. */
  readonly seq: number
  /** ISO 8601, UTC, milliseconds. */
  readonly at: string
  readonly hash: string
}

/** An identity as it stands in records. */
export function recordedIdentity(identity: Identity): RecordedIdentity {
  const { kind, groups, person, onBehalfOf } = identity
  return { kind, id: identityId(identity), groups, person, act: onBehalfOf && recordedIdentity(onBehalfOf) }
}

type Ruling = Pick<OperationDecided, 'decision' | 'rules' | 'policy' | 'refusal' | 'approval'>

/** The entry that says what was decided on an operation; stored before the operation is sent. */
export function operationEntry(
  session: { readonly id: SessionId; readonly target: string; readonly identity: Identity },
  operation: Operation,
  { decision, rules, policy, refusal, approval }: Ruling,
): OperationDecided {
  return {
    type: 'operation',
    operation: operation.id,
    session: session.id,
    target: session.target,
    identity: identityId(session.identity),
    stage: operation.stage,
    text: operation.text,
    sent: operation.sent,
    parameters: operation.parameters,
    digest: operation.digest,
    touches: operation.touches.map(({ action, resource }) => `${action} on ${resource.type} ${resource.id}`),
    effect: operation.effect,
    measured: operation.measured,
    decision,
    rules,
    policy,
    refusal,
    approval,
  }
}

/** The entry of a human's answer to an approval. */
export function voteEntry(approval: Approval, { by, vote, reason }: Vote): Voted {
  const { session, target, requester, operation, id } = approval
  const identity = identityId(requester)
  return { type: 'vote', session, target, identity, operation, approval: id, by, vote, reason }
}
