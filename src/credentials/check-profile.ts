import type { Lack } from './check-rights.ts'
import type { RunSql } from './postgres-pool.ts'
import type { Profile } from './profile.ts'
import { quoteName } from './session-role.ts'

export type ProfileCheck = {
  readonly profile: Pick<Profile, 'schemas'>
  /** Who gets what sessions create. */
  readonly owner?: string
}

/** What the login lacks to give the rights of a profile to others. */
export async function profileLacks(query: RunSql, check: ProfileCheck): Promise<readonly Lack[]> {
  const { schemas } = check.profile
  const missing = await schemaLacks(query, schemas)
  if (missing.length > 0) return missing
  return [...(await placeLacks(query, schemas)), ...(await relationLacks(query, check))]
}

async function schemaLacks(query: RunSql, schemas: readonly string[]): Promise<readonly Lack[]> {
  const missing = await query(
    'SELECT name::text AS name FROM unnest($1::name[]) name WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = name)',
    [schemas],
  )
  return missing.map(({ name }) => ({
    lacks: `the schema ${quoteName(String(name))} of its profile`,
    remedy: `CREATE SCHEMA ${quoteName(String(name))};`,
  }))
}

/** CONNECT and USAGE are given only where PUBLIC does not have them. */
const PLACES = `
SELECT current_user::text AS login, 'CONNECT ON DATABASE ' || quote_ident(datname) AS right
FROM pg_database WHERE datname = current_database() AND NOT has_database_privilege('public', oid, 'CONNECT')
  AND NOT has_database_privilege(oid, 'CONNECT WITH GRANT OPTION')
UNION ALL
SELECT current_user, 'USAGE ON SCHEMA ' || quote_ident(nspname)
FROM pg_namespace WHERE nspname = ANY ($1::name[]) AND NOT has_schema_privilege('public', oid, 'USAGE')
  AND NOT has_schema_privilege(oid, 'USAGE WITH GRANT OPTION')`

async function placeLacks(query: RunSql, schemas: readonly string[]): Promise<readonly Lack[]> {
  const rows = await query(PLACES, [schemas])
  return rows.map(({ login, right }) => ({
    lacks: `the right to give ${String(right)} to sessions`,
    remedy: `GRANT ${String(right)} TO ${quoteName(String(login))} WITH GRANT OPTION;`,
  }))
}

/**
 * A right to give each of the rights would not do: DROP OWNED, which takes them back, fails on what is not the login's own.
 * A sequence of a column goes with its table.
 */
const RELATIONS = `
SELECT current_user::text AS login, o.rolname::text AS owner, o.rolsuper AS super, n.nspname::text AS schema, c.relname::text AS name,
  current_setting('server_version_num')::int AS version
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
WHERE n.nspname = ANY ($1::name[]) AND c.relkind = ANY ('{r,p,v,m,f,S}') AND NOT pg_has_role(o.oid, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = ANY ('{e,a,i}'))
ORDER BY n.nspname, c.relname`

/** A superuser's rights are given to nobody: what one owns gets another owner. */
async function relationLacks(query: RunSql, { profile, owner }: ProfileCheck): Promise<readonly Lack[]> {
  const found = new Map<string, Lack>()
  for (const row of await query(RELATIONS, [profile.schemas])) {
    const [login, own] = [quoteName(String(row['login'])), quoteName(String(row['owner']))]
    const place = `${quoteName(String(row['schema']))}.${quoteName(String(row['name']))}`
    const options = Number(row['version']) >= 160_000 ? ' WITH INHERIT TRUE, SET FALSE' : ''
    const remedy =
      row['super'] === true
        ? `ALTER TABLE ${place} OWNER TO ${owner === undefined ? login : quoteName(owner)};`
        : `GRANT ${own} TO ${login}${options};`
    if (!found.has(remedy)) found.set(remedy, { lacks: `the rights of ${own}, who owns ${place}`, remedy })
  }
  return [...found.values()]
}
