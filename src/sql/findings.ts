import type { RangeVar } from 'libpg-query'
import type { Facts, Refusal, Resource, Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Hidden } from './catalog-index.ts'
import type { CatalogRelation } from './catalog.ts'
import { findRelations, tableResource, type Found, type Names } from './relations.ts'
import type { FromItem, Scope } from './scope.ts'
import { isSecretRelation } from './system-relations.ts'
import type { Node } from './tree.ts'

/** What a query gives, as the query around it needs to know it. */
export type Shape = {
  readonly columns: readonly string[] | undefined
  /** True when it gives a bounded number of rows (bounds.ts). */
  readonly few: boolean
  /** True when a name in it is, or may be, one of an outer query. */
  readonly correlated: boolean
}

/** What is found in one statement so far. */
export type Findings = {
  readonly touches: Touch[]
  readonly functions: Set<string>
  /** Sub-selects by their tree. */
  readonly shapes: Map<object, Shape>
  objection: Refusal | undefined
  touchesHidden: boolean
  changesSearchPath: boolean
}

/** Where in a statement the reading is, and what names mean there. */
export type At = {
  readonly names: Names
  readonly hidden: Hidden
  readonly findings: Findings
  readonly scope: Scope | undefined
  readonly ctes: ReadonlyMap<string, Shape>
  /** Reads a whole query; `bare` when columns in its select list reach the client as they are. */
  readonly query: (node: Node, at: At, bare: boolean) => Shape
}

export function newFindings(): Findings {
  return {
    touches: [],
    functions: new Set(),
    shapes: new Map(),
    objection: undefined,
    touchesHidden: false,
    changesSearchPath: false,
  }
}

/** The first objection counts. */
export function object(at: At, objection: Refusal): void {
  at.findings.objection ??= objection
}

type TouchFacts = {
  readonly unbounded?: boolean
  readonly hasWhere?: boolean
  readonly args?: Facts['args']
}

export function touch(at: At, action: string, resource: Resource, facts: TouchFacts = {}): void {
  const made: Touch = {
    action,
    resource,
    facts: {
      unbounded: facts.unbounded ?? false,
      args: facts.args ?? {},
      own: { has_where: facts.hasWhere ?? false, functions: [], predicates: [] },
    },
  }
  at.findings.touches.push(made)
}

/** One touch for everything the name may mean, with the walls that stand before a relation. */
export function touchRelation(at: At, action: string, range: RangeVar, facts: TouchFacts = {}): readonly Found[] {
  const found = findRelations(at.names, range)
  for (const each of found) {
    touch(at, action, tableResource(at.names, each.schema, each.name), facts)
    guard(at, each)
    if (each.relation !== undefined && DATA_ACTION.test(action)) touchBehind(at, action, each.relation, facts)
  }
  return found
}

/** Actions on a view that reach the data of its tables. */
const DATA_ACTION = /^sql\.(select|insert|update|delete)$/

/** What is done to a view is done to the relations it shows: a rule about a table is not evaded by a view of it. */
function touchBehind(at: At, action: string, view: CatalogRelation, facts: TouchFacts): void {
  for (const source of at.names.catalog.behind(view)) {
    touch(at, action, tableResource(at.names, source.schema, source.name), facts)
    guard(at, { schema: source.schema, name: source.name, relation: source })
  }
}

function guard(at: At, found: Found): void {
  const label = `${found.schema}.${found.name}`
  if (isSecretRelation(found.schema, found.name)) {
    object(at, denied(`${label} shows data of others and may not be used here.`, 'read the tables themselves'))
  }
  const oid = found.relation?.oid
  if (oid === undefined || at.hidden.columns.size === 0) return
  if (at.hidden.columns.has(oid)) at.findings.touchesHidden = true
  if (!at.hidden.reaching.has(oid)) return
  at.findings.touchesHidden = true
  object(at, denied(`${label} may show columns that are masked for you.`, 'select from the tables it is made of'))
}

/** The item that a relation in a FROM list is to expressions; columns are renamed by the alias. */
export function relationItem(at: At, range: RangeVar, found: readonly Found[], renamed: readonly string[]): FromItem {
  const known = found.every((each) => each.relation !== undefined)
  const columns = found.flatMap((each) => each.relation?.columns.map((column, i) => renamed[i] ?? column.name) ?? [])
  const hidden = found.flatMap((each) => {
    const names = each.relation === undefined ? undefined : at.hidden.columns.get(each.relation.oid)
    return (
      each.relation?.columns.flatMap((column, i) => (names?.has(column.name) ? [renamed[i] ?? column.name] : [])) ?? []
    )
  })
  return {
    name: range.alias?.aliasname ?? range.relname ?? '',
    label: range.relname ?? '',
    columns: known ? columns : undefined,
    hidden: new Set(hidden),
    direct: true,
    few: false,
  }
}

/** Columns under the names that an alias gives to the first of them. */
export function rename(
  columns: readonly string[] | undefined,
  renamed: readonly string[],
): readonly string[] | undefined {
  return columns === undefined ? undefined : columns.map((column, i) => renamed[i] ?? column)
}

export function denied(message: string, hint: string): Refusal {
  return refuse('denied', message, [{ do: 'change', hint }])
}

/** The objection to a use of a hidden column that is none of the allowed ones. */
export function objectToUse(at: At, item: FromItem, column: string, whole: boolean): void {
  const subject = whole ? `The whole row of ${item.label} has columns that are` : `${item.label}.${column} is`
  const hint = whole
    ? 'name the columns in the select list'
    : `use ${column} only on its own in the outermost select list`
  object(at, denied(`${subject} masked for you: it may only stand alone in the select list.`, hint))
}
