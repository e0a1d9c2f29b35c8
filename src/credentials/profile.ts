import { createHash } from 'node:crypto'
import { Fault } from '../gateway/fault.ts'
import { quoteName, rolePrefix } from './session-role.ts'

export type Right = 'select' | 'insert' | 'update' | 'delete'

/** What sessions get at a target, less what their identity must not see (docs/decisions/0020-the-wall.md). */
export type Profile = { readonly schemas: readonly string[]; readonly rights: readonly Right[] }

export type ProfileColumn = {
  readonly name: string
  /** `pg_attribute.attnum`. */
  readonly number: number
  readonly type?: string
  readonly hidden: boolean
}

/**
 * `all`: every right of the profile. `columns`: it has hidden columns. `none`: it shows what others hide, so nobody may
 * read any of it. `outside`: it has hidden columns, and lies in no schema of the profile.
 */
export type ProfileRelation = {
  readonly oid: number
  readonly kind: 'table' | 'sequence'
  readonly access: 'all' | 'columns' | 'none' | 'outside'
  /** A view of it would show rows that its policies keep from the session. */
  readonly filtersRows: boolean
  readonly columns: readonly ProfileColumn[]
}

/** What the rights of one session's role come from. */
export type ProfileRequest = {
  /** The classes that its identity must not see. */
  readonly classes: readonly string[]
  readonly relations: readonly ProfileRelation[]
  /** Called when something was made that no catalog read before has. */
  readonly made: () => void
}

/** All that is the same for every snapshot of a source of leases. */
export type SnapshotScope = {
  readonly installation: string
  readonly target: string
  readonly database: string
  /** The gateway's own login: it must have made the role to make others its members. */
  readonly admin: string
  readonly owner?: string
  readonly schemas: readonly string[]
}

/** Where a snapshot of rights is at the target. */
export type Snapshot = { readonly hash: string; readonly role: string; readonly schema: string }

/** Of a form: a change of what snapshots are made of needs other names. */
const FORM = 1

export function snapshotOf(scope: SnapshotScope, rights: readonly Right[], request: ProfileRequest): Snapshot {
  const { installation, target, database, admin, owner, schemas } = scope
  const { classes, relations } = request
  const parts = [installation, target, database, admin, owner, [...schemas].sort(), [...rights].sort()]
  const content = JSON.stringify([FORM, ...parts, [...classes].sort(), relations])
  return snapshotNamed(installation, createHash('sha256').update(content).digest('hex').slice(0, 32))
}

export function snapshotNamed(installation: string, hash: string): Snapshot {
  if (!/^[0-9a-f]{32}$/.test(hash)) throw new Fault('target', 'The hash of a snapshot is 32 hex digits.')
  return { hash, role: `${profilePrefix(installation)}${hash}`, schema: `${MASKED}${hash}` }
}

export const MASKED = 'sp_masked_'

export function profilePrefix(installation: string): string {
  return `${rolePrefix(installation)}profile_`
}

/** Of the rights of the profile those that an identity can ever be permitted to use; reading is not asked for. */
export function usableRights({ rights }: Profile, possible: readonly string[] | undefined): readonly Right[] {
  return rights.filter((right) => right === 'select' || possible === undefined || possible.includes(`sql.${right}`))
}

/** Held by whoever makes or drops a snapshot in this database: two GRANTs on one table cannot run at once. */
export const LOCK_MAKING = "SELECT pg_advisory_xact_lock(hashtextextended('sallyport profiles', 0))"

/** `_shared` by whoever makes a member of it, alone by whoever drops it. */
export function lockSnapshot({ hash }: Snapshot, mode: '' | '_shared'): string {
  return `SELECT pg_advisory_xact_lock${mode}(hashtextextended('sallyport ${hash}', 0))`
}

/** The view of a relation: `"sp_masked_…"."r16384"`. */
export function maskedView({ schema }: Snapshot, oid: number): string {
  return `${quoteName(schema)}.${quoteName(`r${oid}`)}`
}
