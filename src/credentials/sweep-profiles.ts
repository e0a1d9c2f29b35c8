import { z } from 'zod'
import type { Revocation } from '../grants/lease.ts'
import { emptyProfile } from './make-profile.ts'
import type { Database, RunSql } from './postgres-pool.ts'
import { LOCK_MAKING, lockProfile, profilePrefix } from './profile.ts'
import type { ProfileScope } from './profile.ts'
import { quoteName, readMark } from './session-role.ts'

const Mark = z.object({ installation: z.string(), target: z.string(), database: z.string() })

/** Membership of the login itself: the right to make members, and the right to drop it. Any other keeps it. */
const MEMBERS = `
SELECT FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
WHERE p.rolname = $1 AND u.rolname <> current_user AND NOT m.admin_option LIMIT 1`

/** Drops the profile roles of this target that no session's role is a member of, but for those that are current. */
export async function sweepProfiles(
  database: Database,
  scope: ProfileScope,
  isCurrent: (role: string) => boolean,
): Promise<readonly { readonly name: string; readonly revocation: Revocation }[]> {
  const swept = []
  for (const name of await profilesOf(database.query, scope)) {
    const revocation = await dropUnused(database, name, isCurrent)
    if (revocation !== undefined) swept.push({ name, revocation })
  }
  return swept
}

const PROFILES = `
SELECT rolname::text AS role, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles
WHERE starts_with(rolname::text, $1) ORDER BY 1`

/** Name and comment must both say that it is ours. */
async function profilesOf(query: RunSql, scope: ProfileScope): Promise<readonly string[]> {
  const rows = await query(PROFILES, [profilePrefix(scope.installation)])
  return rows.flatMap(({ role, comment }) => {
    const mark = Mark.safeParse(readMark(comment))
    const isOwn =
      mark.success &&
      mark.data.installation === scope.installation &&
      mark.data.target === scope.target &&
      mark.data.database === scope.database
    return isOwn ? [String(role)] : []
  })
}

/** Undefined when it is in use. */
async function dropUnused(
  database: Database,
  role: string,
  isCurrent: (role: string) => boolean,
): Promise<Revocation | undefined> {
  if (isCurrent(role)) return undefined
  try {
    return await database.change(async (query) => {
      await query(LOCK_MAKING)
      await query(lockProfile(role, ''))
      const members = await query(MEMBERS, [role])
      if (members.length > 0 || isCurrent(role)) return undefined
      if (await emptyProfile(query, role)) await query(`DROP ROLE ${quoteName(role)}`)
      return { verified: true }
    })
  } catch (error) {
    return { verified: false, error: error instanceof Error ? error.message : String(error) }
  }
}
