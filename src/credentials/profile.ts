import { createHash } from 'node:crypto'
import { quoteText, rolePrefix } from './session-role.ts'

export type Right = 'select' | 'insert' | 'update' | 'delete'

/** What sessions get at a target, less what their identity must not see (docs/decisions/0020-the-wall.md). */
export type Profile = { readonly schemas: readonly string[]; readonly rights: readonly Right[] }

export type ProfileColumn = {
  readonly name: string
  /** `pg_attribute.attnum`. */
  readonly number: number
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
  readonly columns: readonly ProfileColumn[]
}

/** What the rights of one session's role come from. */
export type ProfileRequest = {
  /** The classes that its identity must not see. */
  readonly classes: readonly string[]
  readonly relations: readonly ProfileRelation[]
}

/** All that is the same for every profile role of a source of leases. */
export type ProfileScope = {
  readonly installation: string
  readonly target: string
  readonly database: string
  /** The gateway's own login: it must have made the role to make others its members. */
  readonly admin: string
  /** Who gets what sessions create. */
  readonly owner?: string
  readonly schemas: readonly string[]
}

/** Of a form: a change of what profile roles are given needs other names. */
const FORM = 2

/** `sp_<installation>_profile_<hash>`: what the role is given never changes, so another content is another role. */
export function profileRole(scope: ProfileScope, rights: readonly Right[], request: ProfileRequest): string {
  const { installation, target, database, admin, schemas } = scope
  const { classes, relations } = request
  const parts = [installation, target, database, admin, [...schemas].sort(), [...rights].sort(), [...classes].sort()]
  const content = JSON.stringify([FORM, ...parts, relations])
  return profilePrefix(installation) + createHash('sha256').update(content).digest('hex').slice(0, 32)
}

export function profilePrefix(installation: string): string {
  return `${rolePrefix(installation)}profile_`
}

/** Of the rights of the profile those that an identity can ever be permitted to use; reading is not asked for. */
export function usableRights({ rights }: Profile, possible: readonly string[] | undefined): readonly Right[] {
  return rights.filter((right) => right === 'select' || possible === undefined || possible.includes(`sql.${right}`))
}

/** Held by whoever makes or drops a profile role in this database: two GRANTs on one table cannot run at once. */
export const LOCK_MAKING = "SELECT pg_advisory_xact_lock(hashtextextended('sallyport profiles', 0))"

/** `_shared` by whoever makes a member of it, alone by whoever drops it. */
export function lockProfile(role: string, mode: '' | '_shared'): string {
  return `SELECT pg_advisory_xact_lock${mode}(hashtextextended(${quoteText(`sallyport ${role}`)}, 0))`
}
