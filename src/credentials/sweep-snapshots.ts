import { z } from 'zod'
import type { Revocation } from '../grants/lease.ts'
import { emptySnapshot } from './make-snapshot.ts'
import type { Database, RunSql } from './postgres-pool.ts'
import { LOCK_MAKING, lockSnapshot, MASKED, profilePrefix, snapshotNamed } from './profile.ts'
import type { Snapshot, SnapshotScope } from './profile.ts'
import { quoteName, readMark } from './session-role.ts'

const Mark = z.object({
  installation: z.string(),
  target: z.string(),
  database: z.string(),
  profile: z.string().regex(/^[0-9a-f]{32}$/),
})

/** Membership of the login itself: the right to make members, and the right to drop it. Any other keeps it. */
const MEMBERS = `
SELECT FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
WHERE p.rolname = $1 AND u.rolname <> current_user AND NOT m.admin_option LIMIT 1`

/** Drops the snapshots of this target that no session's role is a member of, but for those that are current. */
export async function sweepSnapshots(
  database: Database,
  scope: SnapshotScope,
  isCurrent: (hash: string) => boolean,
): Promise<readonly { readonly name: string; readonly revocation: Revocation }[]> {
  const swept = []
  for (const snapshot of await snapshotsOf(database.query, scope)) {
    const revocation = await dropUnused(database, snapshot, isCurrent)
    if (revocation !== undefined) swept.push({ name: snapshot.role, revocation })
  }
  return swept
}

const SNAPSHOTS = `
SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE starts_with(rolname::text, $1)
UNION SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE starts_with(nspname::text, $2)`

/** By their roles or their schemas: one of the two may have been dropped by hand. The comment must say that it is ours. */
async function snapshotsOf(query: RunSql, scope: SnapshotScope): Promise<readonly Snapshot[]> {
  const { installation, target, database } = scope
  const rows = await query(SNAPSHOTS, [profilePrefix(installation), MASKED])
  return rows.flatMap(({ comment }) => {
    const mark = Mark.safeParse(readMark(comment))
    const isOwn =
      mark.success &&
      mark.data.installation === installation &&
      mark.data.target === target &&
      mark.data.database === database
    return isOwn ? [snapshotNamed(installation, mark.data.profile)] : []
  })
}

/** Undefined when it is in use. */
async function dropUnused(
  database: Database,
  snapshot: Snapshot,
  isCurrent: (hash: string) => boolean,
): Promise<Revocation | undefined> {
  if (isCurrent(snapshot.hash)) return undefined
  try {
    return await database.change(async (query) => {
      await query(LOCK_MAKING)
      await query(lockSnapshot(snapshot, ''))
      const members = await query(MEMBERS, [snapshot.role])
      if (members.length > 0 || isCurrent(snapshot.hash)) return undefined
      if (await emptySnapshot(query, snapshot)) await query(`DROP ROLE ${quoteName(snapshot.role)}`)
      return { verified: true }
    })
  } catch (error) {
    return { verified: false, error: error instanceof Error ? error.message : String(error) }
  }
}
