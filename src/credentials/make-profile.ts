import { Fault } from '../gateway/fault.ts'
import { profileLacks } from './check-profile.ts'
import { hiddenColumns, LEAKS, readLeaks } from './leaks.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database, RunSql } from './postgres-pool.ts'
import { LOCK_MAKING } from './profile.ts'
import type { ProfileRequest, ProfileScope, Right } from './profile.ts'
import { createProfileRole, grantProfile } from './profile-statements.ts'
import type { Described, ProfilePlan } from './profile-statements.ts'
import { grantMembership, quoteName, writeMark } from './session-role.ts'

/** A role without any right in this database was made in another one of its name, which is no more. */
const LOOK = `
WITH found AS (SELECT EXISTS (SELECT FROM pg_roles r JOIN pg_shdepend d ON d.refobjid = r.oid JOIN pg_database b ON b.oid = d.dbid
  WHERE r.rolname = $1::name AND d.refclassid = 'pg_authid'::regclass AND b.datname = current_database()) AS made)
SELECT current_setting('server_version_num')::int AS version, made,
  CASE WHEN made THEN ${LEAKS} ELSE '[]' END AS leaks FROM found`

/**
 * A role that has rights has all that it is meant to have. Its version is `server_version_num`. Fault `target` when what is
 * hidden can be read with it, because everybody can.
 */
export async function lookFor(
  query: RunSql,
  role: string,
  { relations }: ProfileRequest,
): Promise<{ readonly version: number; readonly isMade: boolean }> {
  const [row] = await query(LOOK, [role, ...hiddenColumns(relations)])
  const [leak] = readLeaks(row?.['leaks'])
  if (leak !== undefined) throw new Fault('target', `The target lacks ${leak.lacks}: ${leak.remedy}`)
  return { version: Number(row?.['version']), isMade: row?.['made'] === true }
}

/** Made as a whole or not at all, by whoever comes first. Fault `target` when it cannot be made. */
export async function makeProfile(
  database: Database,
  scope: ProfileScope,
  role: string,
  rights: readonly Right[],
  request: ProfileRequest,
): Promise<void> {
  try {
    await database.change(async (query) => {
      await query(LOCK_MAKING)
      if (!(await lookFor(query, role, request)).isMade) await makeWithin(query, scope, role, rights, request)
    })
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault('target', `The rights of a session could not be made at target ${scope.target}.`, cause)
  }
}

async function makeWithin(
  query: RunSql,
  scope: ProfileScope,
  role: string,
  rights: readonly Right[],
  request: ProfileRequest,
): Promise<void> {
  const { installation, target, database, schemas } = scope
  // A GRANT by somebody who may not give it is only a warning at times.
  const [lack] = await profileLacks(query, { profile: scope, owner: scope.owner })
  if (lack !== undefined) throw new Fault('target', `The login of target ${target} lacks ${lack.lacks}: ${lack.remedy}`)
  const isThere = await emptyProfile(query, role)
  if (!isThere) await query(createProfileRole(role, writeMark({ installation, target, database })))
  const grants = grantProfile({ role, rights, ...(await planGrants(query, schemas, request)) })
  if (grants !== '') await query(grants)
  await lookFor(query, role, request)
}

/** Takes all rights from a role, which may have members; true when it is there. */
export async function emptyProfile(query: RunSql, role: string): Promise<boolean> {
  const [found] = await query('SELECT FROM pg_roles WHERE rolname = $1', [role])
  if (found === undefined) return false
  await query(grantMembership(role, 'CURRENT_USER', await serverVersion(query)))
  await query(`DROP OWNED BY ${quoteName(role)}`)
  return true
}

const CLOSED = `
SELECT NOT has_database_privilege('public', current_database(), 'CONNECT') AS database,
  (SELECT coalesce(json_agg(name), '[]') FROM unnest($1::name[]) name
   WHERE NOT has_schema_privilege('public', name::text, 'USAGE')) AS schemas, current_database()::text AS name`

async function planGrants(
  query: RunSql,
  schemas: readonly string[],
  request: ProfileRequest,
): Promise<Omit<ProfilePlan, 'role' | 'rights'>> {
  const [row] = await query(CLOSED, [schemas])
  return {
    relations: await describe(query, request),
    closedSchemas: (row?.['schemas'] ?? []) as readonly string[],
    closedDatabase: row?.['database'] === true ? String(row['name']) : undefined,
  }
}

const DESCRIBE = `
SELECT c.oid::int8::text AS oid, n.nspname::text AS schema, c.relname::text AS name,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`

/** The relations to give rights on, as they are named now: an extension's own are left to it. */
async function describe(query: RunSql, { relations }: ProfileRequest): Promise<readonly Described[]> {
  const given = relations.filter(({ access }) => access === 'all' || access === 'columns')
  const rows = await query(DESCRIBE, [given.map(({ oid }) => oid)])
  const byOid = new Map(rows.map((row) => [Number(row['oid']), row]))
  return given.flatMap((relation) => {
    const row = byOid.get(relation.oid)
    if (row === undefined)
      throw new Fault('target', 'The catalog of the target changed while rights were made from it.')
    if (row['extension'] === true) return []
    return [{ ...relation, place: `${quoteName(String(row['schema']))}.${quoteName(String(row['name']))}` }]
  })
}
