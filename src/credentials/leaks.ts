import { z } from 'zod'
import type { RunSql } from './postgres-pool.ts'
import type { ProfileRelation } from './profile.ts'
import { quoteName } from './session-role.ts'

/** What a role can read all the same, and the SQL that takes it away. */
export type Leak = { readonly lacks: string; readonly remedy: string }

/**
 * Rows of schema, relation and column that role `$1` can read of the columns `$2`, `$3` (relations and their attribute
 * numbers; 0 is any column of a relation that may show what is hidden in others: not of an extension's, which shows what that
 * is for). The role must exist, or be `public`.
 */
const READABLE = `
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS column
FROM unnest($2::oid[], $3::int2[]) AS hidden (oid, number)
JOIN pg_class c ON c.oid = hidden.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = hidden.number
WHERE CASE WHEN hidden.number = 0 THEN has_any_column_privilege($1::name, c.oid, 'SELECT') AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ELSE has_column_privilege($1::name, c.oid, hidden.number, 'SELECT') END
ORDER BY 1, 2, a.attnum`

/** A JSON array of those rows. */
export const LEAKS = `(SELECT coalesce(json_agg(leak), '[]') FROM (${READABLE}) leak)`

const Rows = z.array(z.object({ schema: z.string(), relation: z.string(), column: z.string().nullable() }))

/** `$2` and `$3` for all that is hidden. */
export function hiddenColumns(relations: readonly ProfileRelation[]): readonly [readonly number[], readonly number[]] {
  const hidden = relations.flatMap(({ oid, access, columns }) => {
    if (access === 'none') return [{ oid, number: 0 }]
    return columns.filter((column) => column.hidden).map(({ number }) => ({ oid, number }))
  })
  return [hidden.map(({ oid }) => oid), hidden.map(({ number }) => number)]
}

/** A profile role has been given none of it: what it can read, everybody can. */
export function readLeaks(found: unknown): readonly Leak[] {
  return Rows.parse(found).map(({ schema, relation, column }) => {
    const place = `${quoteName(schema)}.${quoteName(relation)}`
    return {
      lacks: `a wall before ${column === null ? place : `${place}.${quoteName(column)}`}, which everybody may read`,
      remedy: `REVOKE SELECT ON ${place} FROM PUBLIC;`,
    }
  })
}

/** What PUBLIC can read of what is hidden. */
export async function publicLeaks(query: RunSql, relations: readonly ProfileRelation[]): Promise<readonly Leak[]> {
  const [row] = await query(`SELECT ${LEAKS} AS leaks`, ['public', ...hiddenColumns(relations)])
  return readLeaks(row?.['leaks'])
}
