import { Fault } from '../gateway/fault.ts'
import type { RunSql } from './postgres-pool.ts'
import type { ProfileRelation, SnapshotScope } from './profile.ts'
import { quoteName } from './session-role.ts'

export type WallTrial = {
  /** The profile role. */
  readonly role: string
  /** Who gave it its rights; undefined: a superuser. */
  readonly owner: string | undefined
  readonly scope: SnapshotScope
  readonly relations: readonly ProfileRelation[]
}

/** Fault `target` when the role can read what is hidden, or cannot come to what it is for; with the SQL that mends it. */
export async function tryWall(query: RunSql, trial: WallTrial): Promise<void> {
  await tryHiding(query, trial)
  await tryReaching(query, trial)
}

const READABLE = `
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS column
FROM unnest($2::oid[], $3::int2[]) AS hidden (oid, number)
JOIN pg_class c ON c.oid = hidden.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = hidden.number
WHERE CASE WHEN hidden.number = 0 THEN has_any_column_privilege($1::name, c.oid, 'SELECT')
  ELSE has_column_privilege($1::name, c.oid, hidden.number, 'SELECT') END
ORDER BY 1, 2, a.attnum LIMIT 1`

/** Number 0 is any column. The role has been given nothing of them: who can read them all the same can so by PUBLIC. */
async function tryHiding(query: RunSql, { role, relations }: WallTrial): Promise<void> {
  const hidden = relations.flatMap(({ oid, access, columns }) => {
    if (access === 'none') return [{ oid, number: 0 }]
    return columns.filter((column) => column.hidden).map(({ number }) => ({ oid, number }))
  })
  const [found] = await query(READABLE, [role, hidden.map(({ oid }) => oid), hidden.map(({ number }) => number)])
  if (found === undefined) return
  const place = [found['schema'], found['relation']].map((name) => quoteName(String(name))).join('.')
  const what = found['column'] === null ? place : `${place}.${quoteName(String(found['column']))}`
  throw new Fault('target', `Everybody at the target may read ${what}: REVOKE SELECT ON ${place} FROM PUBLIC;`)
}

const CLOSED = `
SELECT 'CONNECT ON DATABASE ' || quote_ident(current_database()) AS place
WHERE NOT has_database_privilege($1::name, current_database(), 'CONNECT')
UNION ALL
SELECT 'USAGE ON SCHEMA ' || quote_ident(name) FROM unnest($2::name[]) name
WHERE NOT has_schema_privilege($1::name, name::text, 'USAGE')
LIMIT 1`

/** A GRANT by somebody who may not grant is only a warning at times. */
async function tryReaching(query: RunSql, { role, owner, scope }: WallTrial): Promise<void> {
  const [found] = await query(CLOSED, [role, scope.schemas])
  if (found === undefined) return
  const place = String(found['place'])
  const who = quoteName(owner ?? scope.admin)
  throw new Fault('target', `${who} may not give ${place}: GRANT ${place} TO ${who} WITH GRANT OPTION;`)
}
