import type { Lack } from './check-rights.ts'
import { isSuperuser } from './make-snapshot.ts'
import type { RunSql } from './postgres-pool.ts'
import { quoteName } from './session-role.ts'

export type ProfileCheck = {
  readonly target: string
  readonly schemas: readonly string[]
  readonly owner: string | undefined
}

/** What the login, or the owner in its place, lacks to give the rights of a profile. */
export async function profileLacks(query: RunSql, check: ProfileCheck): Promise<readonly Lack[]> {
  const schemas = await schemaLacks(query, check.schemas)
  if (schemas.length > 0 || (await isSuperuser(query))) return schemas
  if (check.owner === undefined) return [ownerLack(check.target)]
  const [found] = await query('SELECT FROM pg_roles WHERE rolname = $1', [check.owner])
  if (found === undefined) return []
  return [
    ...(await placeLacks(query, check.schemas, check.owner)),
    ...(await tableLacks(query, check.schemas, check.owner)),
  ]
}

function ownerLack(target: string): Lack {
  return {
    lacks: 'the name of the role that owns the tables of its profile',
    remedy: `Set owner in the lease of target ${target}.`,
  }
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
SELECT 'make the schemas of its masked views in' AS what, 'CREATE ON DATABASE ' || quote_ident(datname) AS right, '' AS option
FROM pg_database WHERE datname = current_database() AND NOT has_database_privilege($1::name, oid, 'CREATE')
UNION ALL
SELECT 'let sessions connect to', 'CONNECT ON DATABASE ' || quote_ident(datname), ' WITH GRANT OPTION'
FROM pg_database WHERE datname = current_database() AND NOT has_database_privilege('public', oid, 'CONNECT')
  AND NOT has_database_privilege($1::name, oid, 'CONNECT WITH GRANT OPTION')
UNION ALL
SELECT 'let sessions use', 'USAGE ON SCHEMA ' || quote_ident(nspname), ' WITH GRANT OPTION'
FROM pg_namespace WHERE nspname = ANY ($2::name[]) AND NOT has_schema_privilege('public', oid, 'USAGE')
  AND NOT has_schema_privilege($1::name, oid, 'USAGE WITH GRANT OPTION')`

async function placeLacks(query: RunSql, schemas: readonly string[], owner: string): Promise<readonly Lack[]> {
  const rows = await query(PLACES, [owner, schemas])
  return rows.map(({ what, right, option }) => ({
    lacks: `the right of ${quoteName(owner)} to ${String(what)} ${String(right).replace(/^\w+ ON /, '')}`,
    remedy: `GRANT ${String(right)} TO ${quoteName(owner)}${String(option)};`,
  }))
}

const OTHERS = `
SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($2::name[]) AND c.relkind = ANY ('{r,p,v,m,f,S}') AND NOT pg_has_role($1::name, c.relowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = ANY ('{e,a,i}'))
ORDER BY 1, 2`

/** A sequence that belongs to a column goes with its table. */
async function tableLacks(query: RunSql, schemas: readonly string[], owner: string): Promise<readonly Lack[]> {
  const rows = await query(OTHERS, [owner, schemas])
  return rows.map(({ schema, name }) => {
    const place = `${quoteName(String(schema))}.${quoteName(String(name))}`
    return {
      lacks: `${quoteName(owner)} as the owner of ${place}`,
      remedy: `ALTER TABLE ${place} OWNER TO ${quoteName(owner)};`,
    }
  })
}
