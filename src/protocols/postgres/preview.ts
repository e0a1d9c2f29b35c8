import type { Operation, Preview } from '../../gateway/domain.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { Connection } from './connection.ts'
import { decodeDataRow } from './messages-target.ts'

/** The part of EXPLAIN (FORMAT JSON) that says how many rows. */
type Plan = { readonly 'Node Type': string; readonly 'Plan Rows': number; readonly Plans?: readonly Plan[] }

/** `EXPLAIN (GENERIC_PLAN)`, which plans a text with `$1` in it, came with this version. */
const GENERIC_PLAN = 16

/**
 * The planner's estimate of the rows an operation reads or changes. Asked in the session itself, so with its rights and
 * its search path, while the target is idle; nothing of the operation runs.
 */
export async function estimateRows(connection: Connection, permit: Permit, operation: Operation): Promise<Preview> {
  const version = Number.parseInt(connection.serverVersion, 10)
  const parameters = (operation.parameters?.length ?? 0) > 0
  if (parameters && version < GENERIC_PLAN) return { note: `PostgreSQL ${version} estimates nothing with parameters.` }
  const options = parameters ? 'FORMAT JSON, GENERIC_PLAN' : 'FORMAT JSON'
  const [row] = await connection.ask(permit, `EXPLAIN (${options}) ${operation.text}`)
  const text = row && decodeDataRow(row)[0]?.toString('utf8')
  const rows = text === undefined ? undefined : rowsOf(text)
  return rows === undefined ? { note: 'The planner gave no estimate.' } : { rowsEstimate: rows }
}

/** A ModifyTable node without RETURNING says 0 rows: what it changes is what the node below it gives. */
function rowsOf(text: string): number | undefined {
  const [{ Plan: plan }] = JSON.parse(text) as [{ readonly Plan?: Plan }]
  const below = plan?.['Node Type'] === 'ModifyTable' ? plan.Plans?.[0] : plan
  return below?.['Plan Rows']
}
