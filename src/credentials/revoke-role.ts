import type { Clock } from '../gateway/clock.ts'
import type { Revocation } from '../grants/lease.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database } from './postgres-pool.ts'
import { grantMembership, quoteName } from './session-role.ts'

export type RevokeOptions = {
  readonly database: Database
  /** Who gets what the session created; left out: it is dropped with the role. */
  readonly owner: string | undefined
  readonly clock: Clock
}

/** Before each attempt, in ms. */
const BACK_OFF_MS = [0, 100, 400, 1_000]
/** Between looks whether the backends are gone: 5 s in all. */
const LOOKS_MS = [0, 10, 20, 40, 80, 150, 300, 600, 1_200, 2_600]

/**
 * Ends a session's role for good: no login, no rights, no connection, no object, no role; and looks whether that is so.
 * Never throws. When it fails the role is left as powerless as was possible, for the next attempt.
 */
export async function revokeRole(options: RevokeOptions, role: string): Promise<Revocation> {
  let error = ''
  for (const pause of BACK_OFF_MS) {
    if (pause > 0) await options.clock.sleep(pause)
    try {
      const remains = await endRole(options, role)
      if (remains === undefined) return { verified: true }
      error = remains
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure)
    }
  }
  return { verified: false, error }
}

/** What still remains of the role, in words; undefined when nothing does. */
async function endRole(options: RevokeOptions, role: string): Promise<string | undefined> {
  const { query } = options.database
  const [found] = await query('SELECT oid::text AS oid FROM pg_roles WHERE rolname = $1', [role])
  if (found === undefined) return undefined
  const oid = String(found['oid'])
  await disarm(options, role, oid)
  if (!(await endBackends(options, oid))) return 'A connection of the role is still open.'
  await query(removal(role, options.owner))
  return whatRemains(options, role, oid)
}

/** Each step by itself: where a right is missing for a later one, the earlier ones still hold. */
async function disarm({ database }: RevokeOptions, role: string, oid: string): Promise<void> {
  const name = quoteName(role)
  await database.query(`ALTER ROLE ${name} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL`)
  const groups = await database.query(
    'SELECT DISTINCT g.rolname::text AS name FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid ' +
      'WHERE m.member = $1::oid ORDER BY 1',
    [oid],
  )
  if (groups.length > 0) {
    await database.query(`REVOKE ${groups.map((group) => quoteName(String(group['name']))).join(', ')} FROM ${name}`)
  }
  // The rights of the role itself: they let the gateway end its backends and dispose of its objects.
  await database.query(grantMembership(role, 'CURRENT_USER', await serverVersion(database.query)))
}

async function endBackends({ database, clock }: RevokeOptions, oid: string): Promise<boolean> {
  for (const pause of LOOKS_MS) {
    if (pause > 0) await clock.sleep(pause)
    const ended = await database.query(
      'SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1::oid',
      [oid],
    )
    if (ended.length === 0) return true
  }
  return false
}

/** One transaction: either the objects are disposed of and the role is gone, or nothing has changed. */
function removal(role: string, owner: string | undefined): string {
  const name = quoteName(role)
  const statements = [`DROP OWNED BY ${name}`, `DROP ROLE ${name}`]
  if (owner !== undefined) statements.unshift(`REASSIGN OWNED BY ${name} TO ${quoteName(owner)}`)
  return statements.join(';\n')
}

async function whatRemains({ database }: RevokeOptions, role: string, oid: string): Promise<string | undefined> {
  const [left] = await database.query(
    'SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 OR oid = $2::oid) AS role, ' +
      'EXISTS (SELECT FROM pg_stat_activity WHERE usesysid = $2::oid) AS backend',
    [role, oid],
  )
  if (left?.['role'] !== false) return 'The role is still there.'
  return left['backend'] === false ? undefined : 'A connection of the dropped role is still open.'
}
