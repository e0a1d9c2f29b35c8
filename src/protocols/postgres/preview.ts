import type { Preview } from '../../gateway/domain.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { Connection } from './connection.ts'
import { FRONTEND } from './message-types.ts'
import { decodeBind } from './messages-client.ts'
import { decodeDataRow } from './messages-target.ts'

/** The part of EXPLAIN (FORMAT JSON) that says how many rows. */
type Plan = { readonly 'Node Type': string; readonly 'Plan Rows': number; readonly Plans?: readonly Plan[] }

/**
 * The planner's estimate of the rows an operation reads or changes, with the parameters that the client bound. Asked in
 * the session itself, so with its rights and its search path, while the target is idle; nothing of the operation runs.
 */
export async function estimateRows(
  connection: Connection,
  permit: Permit,
  text: string,
  bind: Buffer | undefined,
): Promise<Preview> {
  const bound = bind && decodeBind({ type: FRONTEND.Bind, bytes: bind })
  const [row] = await connection.ask(permit, `EXPLAIN (FORMAT JSON) ${text}`, bound)
  const plan = row && decodeDataRow(row)[0]?.toString('utf8')
  const rows = plan === undefined ? undefined : rowsOf(plan)
  return rows === undefined ? { note: 'The planner gave no estimate.' } : { rowsEstimate: rows }
}

/** A ModifyTable node without RETURNING says 0 rows: what it changes is what the node below it gives. */
function rowsOf(text: string): number | undefined {
  const [{ Plan: plan }] = JSON.parse(text) as [{ readonly Plan?: Plan }]
  const below = plan?.['Node Type'] === 'ModifyTable' ? plan.Plans?.[0] : plan
  return below?.['Plan Rows']
}
