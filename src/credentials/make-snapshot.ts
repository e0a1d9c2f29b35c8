import { Fault } from '../gateway/fault.ts'
import { hiddenColumns, LEAKS, readLeaks } from './leaks.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database, RunSql } from './postgres-pool.ts'
import { LOCK_MAKING } from './profile.ts'
import type { ProfileRequest, Right, Snapshot, SnapshotScope } from './profile.ts'
import { createProfileRole, fillSnapshot } from './profile-statements.ts'
import type { Described, SnapshotPlan, Stand } from './profile-statements.ts'
import { grantMembership, quoteName, writeMark } from './session-role.ts'

export type SnapshotOptions = {
  readonly scope: SnapshotScope
  readonly database: Database
  /** What stands in a masked view for a value of this type; undefined: NULL. */
  readonly standIn: (typeOid: number) => string | undefined
}

const LOOK = `
WITH found AS (SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::name) AS role,
  EXISTS (SELECT FROM pg_namespace WHERE nspname = $4::name) AS schema)
SELECT current_setting('server_version_num')::int AS version, role AND schema AS made,
  CASE WHEN role AND schema THEN ${LEAKS} ELSE '[]' END AS leaks FROM found`

/**
 * One that has both its parts is complete. Its version is `server_version_num`. Fault `target` when what is hidden can be
 * read with it, because everybody can.
 */
export async function lookFor(
  query: RunSql,
  { role, schema }: Snapshot,
  { relations }: ProfileRequest,
): Promise<{ readonly version: number; readonly isMade: boolean }> {
  const [row] = await query(LOOK, [role, ...hiddenColumns(relations), schema])
  const [leak] = readLeaks(row?.['leaks'])
  if (leak !== undefined) throw new Fault('target', `The target lacks ${leak.lacks}: ${leak.remedy}`)
  return { version: Number(row?.['version']), isMade: row?.['made'] === true }
}

/** Made as a whole or not at all. True when it was this call that made it. Fault `target` when it cannot be made. */
export async function makeSnapshot(
  options: SnapshotOptions,
  snapshot: Snapshot,
  rights: readonly Right[],
  request: ProfileRequest,
): Promise<boolean> {
  try {
    return await options.database.change(async (query) => {
      await query(LOCK_MAKING)
      if ((await lookFor(query, snapshot, request)).isMade) return false
      await makeWithin(options, query, snapshot, rights, request)
      return true
    })
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault('target', `The rights of a session could not be made at target ${options.scope.target}.`, cause)
  }
}

async function makeWithin(
  options: SnapshotOptions,
  query: RunSql,
  snapshot: Snapshot,
  rights: readonly Right[],
  request: ProfileRequest,
): Promise<void> {
  const { scope } = options
  const owner = await ownerOf(scope, query)
  const plan = await planSnapshot(options, query, snapshot, rights, request, owner)
  const hasRole = await emptySnapshot(query, snapshot)
  if (!hasRole) await query(createProfileRole(plan))
  await query(owner === undefined ? fillSnapshot(plan) : asRole(owner, fillSnapshot(plan)))
  await lookFor(query, snapshot, request)
  await tryReaching(query, snapshot, scope, owner)
}

const UNREACHABLE = `
SELECT 'CONNECT ON DATABASE ' || quote_ident(current_database()) AS right
WHERE NOT has_database_privilege($1::name, current_database(), 'CONNECT')
UNION ALL
SELECT 'USAGE ON SCHEMA ' || quote_ident(name) FROM unnest($2::name[]) name
WHERE NOT has_schema_privilege($1::name, name::text, 'USAGE')
LIMIT 1`

/** A GRANT by somebody who may not grant is only a warning at times. */
async function tryReaching(
  query: RunSql,
  { role }: Snapshot,
  { schemas, admin }: SnapshotScope,
  owner: string | undefined,
): Promise<void> {
  const [found] = await query(UNREACHABLE, [role, schemas])
  if (found === undefined) return
  const right = String(found['right'])
  const who = quoteName(owner ?? admin)
  throw new Fault('target', `${who} may not give ${right} to others: GRANT ${right} TO ${who} WITH GRANT OPTION;`)
}

/** Who owns the masked views, when it is not the login itself. */
async function ownerOf({ owner, target }: SnapshotScope, query: RunSql): Promise<string | undefined> {
  if (await isSuperuser(query)) return undefined
  if (owner !== undefined) return owner
  throw new Fault('target', `The lease of target ${target} names no owner, which its profile needs.`)
}

export async function isSuperuser(query: RunSql): Promise<boolean> {
  const [login] = await query('SELECT rolsuper FROM pg_roles WHERE rolname = current_user')
  return login?.['rolsuper'] === true
}

function asRole(role: string, sql: string): string {
  return `SET LOCAL ROLE ${quoteName(role)};\n${sql};\nRESET ROLE`
}

/** Takes away all there is of one but its role, which may have members; true when that is there. */
export async function emptySnapshot(query: RunSql, { role, schema }: Snapshot): Promise<boolean> {
  const [found] = await query('SELECT FROM pg_roles WHERE rolname = $1', [role])
  if (found !== undefined) {
    await query(grantMembership(role, 'CURRENT_USER', await serverVersion(query)))
    await query(`DROP OWNED BY ${quoteName(role)}`)
  }
  await query(`DROP SCHEMA IF EXISTS ${quoteName(schema)} CASCADE`)
  return found !== undefined
}

async function planSnapshot(
  { scope, standIn }: SnapshotOptions,
  query: RunSql,
  snapshot: Snapshot,
  rights: readonly Right[],
  request: ProfileRequest,
  owner: string | undefined,
): Promise<SnapshotPlan> {
  const { installation, target, database, schemas } = scope
  const relations = await describe(query, request, owner)
  const closed = await closedPlaces(query, schemas)
  return {
    snapshot,
    comment: writeMark({ installation, target, database, profile: snapshot.hash }),
    rights,
    relations,
    stands: await readStands(query, relations, standIn),
    ...closed,
  }
}

const DESCRIBE = `
SELECT c.oid::int8::text AS oid, n.nspname::text AS schema, c.relname::text AS name,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension,
  $2::text IS NULL OR pg_has_role($2::text::name, c.relowner, 'USAGE') AS owned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`

/** The relations to give rights on, as they are named now: an extension's own are left to it. */
async function describe(
  query: RunSql,
  { relations }: ProfileRequest,
  owner: string | undefined,
): Promise<readonly Described[]> {
  const given = relations.filter(({ access }) => access === 'all' || access === 'columns')
  const rows = await query(DESCRIBE, [given.map(({ oid }) => oid), owner ?? null])
  const byOid = new Map(rows.map((row) => [Number(row['oid']), row]))
  return given.flatMap((relation) => {
    const row = byOid.get(relation.oid)
    if (row === undefined) throw outdated()
    if (row['extension'] === true) return []
    const place = `${quoteName(String(row['schema']))}.${quoteName(String(row['name']))}`
    if (row['owned'] === true) return [{ ...relation, place }]
    const who = quoteName(owner ?? '')
    throw new Fault('target', `${who} does not own ${place}: ALTER TABLE ${place} OWNER TO ${who};`)
  })
}

function outdated(): Fault {
  return new Fault('target', 'The catalog of the target changed while the rights of a session were made from it.')
}

const CLOSED = `
SELECT NOT has_database_privilege('public', current_database(), 'CONNECT') AS database,
  (SELECT coalesce(json_agg(name), '[]') FROM unnest($1::name[]) name
   WHERE NOT has_schema_privilege('public', name::text, 'USAGE')) AS schemas, current_database()::text AS name`

async function closedPlaces(
  query: RunSql,
  schemas: readonly string[],
): Promise<Pick<SnapshotPlan, 'closedSchemas' | 'closedDatabase'>> {
  const [row] = await query(CLOSED, [schemas])
  return {
    closedSchemas: (row?.['schemas'] ?? []) as readonly string[],
    closedDatabase: row?.['database'] === true ? String(row['name']) : undefined,
  }
}

const COLUMNS = `
WITH RECURSIVE col AS (
  SELECT attrelid, attnum, attname, atttypid AS type, atttypmod AS modifier FROM pg_attribute
  WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT attrelid, attnum, attname, typbasetype, typtypmod FROM col JOIN pg_type ON oid = type WHERE typtype = 'd')
SELECT attrelid::int8::text AS relation, attnum AS number, attname::text AS name, type::int8::text AS type,
  format_type(type, modifier) AS written
FROM col JOIN pg_type ON oid = type WHERE typtype <> 'd' ORDER BY attrelid, attnum`

/** The types of hidden columns. The columns must be those of the plan: rights on another one would be a hole. */
async function readStands(
  query: RunSql,
  relations: readonly Described[],
  standIn: SnapshotOptions['standIn'],
): Promise<ReadonlyMap<string, Stand>> {
  const masked = relations.filter(({ access }) => access === 'columns')
  const rows = await query(COLUMNS, [masked.map(({ oid }) => oid)])
  const found = rows.map((row) => `${String(row['relation'])}.${String(row['number'])} ${String(row['name'])}`)
  const planned = masked.flatMap(({ oid, columns }) => columns.map(({ number, name }) => `${oid}.${number} ${name}`))
  if (new Set(found).symmetricDifference(new Set(planned)).size > 0) throw outdated()
  return new Map(
    rows.map((row) => [
      `${String(row['relation'])}.${String(row['number'])}`,
      { type: String(row['written']), text: standIn(Number(row['type'])) },
    ]),
  )
}
