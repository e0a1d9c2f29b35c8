import { escapeLiteral } from 'pg'
import { z } from 'zod'

/** When a catalog was read, as the server counts it. */
export const Moment = z.object({
  /** The server, as long as it runs. */
  server: z.string(),
  /** Which transactions were over; null on a standby, which does not say. */
  snapshot: z.string().nullable(),
  /** The oldest transaction that was not: what comes later is of it or of a younger one. */
  oldest: z.string().regex(/^\d+$/),
  /** How many rows each part of the catalog had. */
  rows: z.array(z.int()),
})
export type Moment = z.infer<typeof Moment>

/** Null: what is visible is the same as then. */
export const Since = Moment.extend({ changed: z.int() }).nullable()
export type Since = z.infer<typeof Since>

/** All that a reading of the catalog is made of; what it does not show of these costs a reading when it changes. */
const PARTS = [
  'pg_class',
  'pg_attribute',
  'pg_attrdef',
  'pg_type',
  'pg_rewrite',
  'pg_inherits',
  'pg_index',
  'pg_constraint',
  'pg_namespace',
  'pg_proc',
  'pg_operator',
  "pg_depend WHERE deptype = 'e'",
]

const SERVER = 'extract(epoch FROM pg_postmaster_start_time())::text'
const SNAPSHOT = 'CASE WHEN NOT pg_is_in_recovery() THEN pg_current_snapshot()::text END'

/** A JSON value, of the moment of the statement that it is in; `isNew`: a condition on its rows. */
const momentOf = (isNew: string): string => `(
  SELECT json_build_object('server', ${SERVER}, 'snapshot', ${SNAPSHOT},
    'oldest', pg_snapshot_xmin(pg_current_snapshot())::xid::text,
    'rows', json_agg(rows ORDER BY part), 'changed', sum(changed))
  FROM (${PARTS.map(
    (part, place) =>
      `SELECT ${place} AS part, count(*) AS rows, count(*) FILTER (WHERE ${isNew}) AS changed FROM ${part}`,
  ).join(' UNION ALL ')}) counted)`

export const MOMENT = momentOf('false')

/**
 * What has changed since: rows that are new or have other values were written by a transaction that was open then, or by a
 * younger one; rows that are gone are missing in the count. Where no transaction has ended since, nothing is counted.
 */
export const changedSince = ({ server, snapshot, oldest }: Moment): string => `
SELECT CASE WHEN ${SERVER} = ${escapeLiteral(server)} AND ${SNAPSHOT} = ${escapeLiteral(snapshot ?? '')} THEN NULL
  ELSE ${momentOf(`age(xmin) <= age(${escapeLiteral(oldest)}::xid)`)} END AS since`

/** True when nothing of the catalog is another now. */
export function isUnchanged(before: Moment, since: Since): boolean {
  if (since === null) return true
  return since.changed === 0 && since.server === before.server && since.rows.join() === before.rows.join()
}
