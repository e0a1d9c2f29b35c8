/** The tables, the same in every database the store runs on. Times are ms since the epoch; JSON is kept as text. */
export type Schema = {
  readonly migrations: MigrationRow
  readonly installation: InstallationRow
  readonly replicas: ReplicaRow
  readonly grants: GrantRow
  readonly sessions: SessionRow
  readonly approvals: ApprovalRow
  readonly votes: VoteRow
}

export type MigrationRow = { readonly number: number; readonly applied_at: number }

/** One row. `clock_seen_at` is the latest wall time that any gateway of this installation saw. */
export type InstallationRow = {
  readonly id: string
  readonly created_at: number
  readonly clock_seen_at: number
  /** Secret; the salts of users that there are not are made of it. Absent until it is needed. */
  readonly mock_key?: string | null
}

export type ReplicaRow = { readonly id: string; readonly started_at: number; readonly seen_at: number }

export type GrantRow = {
  readonly id: string
  readonly identity: string
  readonly kind: string
  readonly person: string | null
  readonly target: string
  readonly purpose: string
  readonly opened_at: number
  readonly expires_at: number
  readonly ended_at: number | null
  /** Null in a grant that was made on connect, as are the columns below. */
  readonly who: string | null
  /** Kinds and ids of who asked and of everyone it acts for. */
  readonly requester_key: string | null
  readonly operations: string | null
  /** What SCRAM-SHA-256 needs to check the password, in PostgreSQL's form. */
  readonly verifier: string | null
  /** Hex SHA-256 of the password. */
  readonly bearer: string | null
  readonly end_reason: string | null
  /** 1: it ends with the connection that holds it, or with the gateway. */
  readonly held: number | null
}

export type SessionRow = {
  readonly id: string
  readonly target: string
  readonly protocol: string
  readonly identity: string
  readonly kind: string
  readonly person: string | null
  readonly grant_id: string
  readonly lease: string
  readonly client: string
  readonly application: string | null
  readonly replica: string
  readonly opened_at: number
  readonly closed_at: number | null
  readonly close_reason: string | null
  readonly first_seq: number
  readonly last_seq: number
  readonly operations: number
}

export type ApprovalRow = {
  readonly id: string
  readonly state: string
  /** Kinds and ids of the requester and of everyone it acts for: what "the same identity" means. */
  readonly requester_key: string
  readonly requester: string
  readonly target: string
  readonly digest: string
  readonly session: string
  readonly operation: string
  readonly client: string
  readonly text: string
  readonly parameters: string | null
  readonly touches: string
  readonly hold: string
  readonly preview: string | null
  readonly created_at: number
  readonly expires_at: number
  readonly spent_by: string | null
  /** Counted up by every vote: that update is the row lock under which the vote is checked. */
  readonly revision: number
}

export type VoteRow = {
  readonly approval_id: string
  readonly voter: string
  /** The human behind the voter as it is compared, so that no human votes twice. */
  readonly person: string | null
  readonly groups: string
  readonly vote: string
  readonly reason: string | null
  readonly at: number
}
