import type { Facts, Operation, Touch } from '../../gateway/domain.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { Connection } from './connection.ts'
import { FRONTEND } from './message-types.ts'
import { decodeBind } from './messages-client.ts'
import { decodeDataRow } from './messages-target.ts'

/** A statement, with the parameters that the client bound and the OIDs of their types. */
export type Question = {
  readonly text: string
  readonly bind: Buffer | undefined
  readonly types: readonly number[] | undefined
}

/** The part of EXPLAIN (FORMAT JSON) that says how many rows. */
type Plan = {
  readonly 'Node Type': string
  readonly 'Parent Relationship'?: string
  readonly 'Plan Rows': number
  readonly Plans?: readonly Plan[]
}

/**
 * The planner's estimate of the rows a statement gives or changes; undefined when it has none. Asked in the session itself,
 * so with its rights and its search path, outside a transaction and while the target is idle; nothing of it runs.
 */
export async function estimateRows(
  connection: Connection,
  permit: Permit,
  { text, bind, types }: Question,
): Promise<number | undefined> {
  const bound = bind && decodeBind({ type: FRONTEND.Bind, bytes: bind })
  const [row] = await connection.ask(permit, `EXPLAIN (FORMAT JSON) ${text}`, { ...bound, types })
  const plan = row && decodeDataRow(row)[0]?.toString('utf8')
  return plan === undefined ? undefined : rowsOf(plan)
}

/** As `estimateRows`, in an open transaction that goes on whatever comes of it. */
export async function estimateAside(
  connection: Connection,
  permit: Permit,
  question: Question,
): Promise<number | undefined> {
  void connection.ask(permit, `SAVEPOINT ${ASIDE}`)
  const rows = estimateRows(connection, permit, question)
  void connection.ask(permit, `ROLLBACK TO SAVEPOINT ${ASIDE}`)
  await connection.ask(permit, `RELEASE SAVEPOINT ${ASIDE}`)
  return rows
}

const ASIDE = 'sallyport_aside'

/** The operation, with the estimate as a fact of everything that it reads and writes. */
export function withEstimate(operation: Operation, estimate: number): Operation {
  const measured = { rows_estimate: estimate }
  const [first, ...others] = operation.touches
  return {
    ...operation,
    measured,
    touches: [withFacts(first, measured), ...others.map((each) => withFacts(each, measured))],
  }
}

function withFacts(touch: Touch, own: Facts['own']): Touch {
  if (!/^sql\.(select|insert|update|delete)$/.test(touch.action)) return touch
  return { ...touch, facts: { ...touch.facts, own: { ...touch.facts.own, ...own } } }
}

function rowsOf(text: string): number | undefined {
  const [{ Plan: plan }] = JSON.parse(text) as [{ readonly Plan?: Plan }]
  if (plan === undefined) return undefined
  const rows = Math.max(...changesIn(plan), plan['Plan Rows'])
  return Math.min(rows, Number.MAX_SAFE_INTEGER)
}

/**
 * Rows of each change anywhere in the plan, as one can stand in a WITH: a ModifyTable node says 0 rows where nothing is
 * returned; what it changes is what the node below it gives. Other plans below it are those of sub-selects.
 */
function changesIn(plan: Plan): readonly number[] {
  const below = (plan.Plans ?? []).filter((each) => each['Parent Relationship'] === 'Outer')
  const own = plan['Node Type'] === 'ModifyTable' ? below.map((each) => each['Plan Rows']) : []
  return [...own, ...(plan.Plans ?? []).flatMap(changesIn)]
}
