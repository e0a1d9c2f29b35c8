import type { RangeVar } from 'libpg-query'
import type { Facts, Refusal, Resource, Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Hidden } from './catalog-index.ts'
import type { CatalogRelation } from './catalog.ts'
import type { NameChange } from './reader.ts'
import { findRelations, tableResource, targetResource, type Found, type Names } from './relations.ts'
import type { FromItem, Scope } from './scope.ts'
import { isSecretRelation, isSystemSchema } from './system-relations.ts'
import type { Node } from './tree.ts'

/** What a query gives, as the query around it needs to know it. */
export type Shape = {
  readonly columns: readonly string[] | undefined
  /** The types of its columns, as far as they are known. */
  readonly types?: ReadonlyMap<string, string>
  /** True when it gives a bounded number of rows (bounds.ts); found out when asked, as that looks at constants. */
  readonly few: () => boolean
  /** True when a name in it is, or may be, one of an outer query. */
  readonly correlated: boolean
}

/** What is found in one statement so far. */
export type Findings = {
  readonly touches: Touch[]
  readonly functions: Set<string>
  /** Sub-selects by their tree. */
  readonly shapes: Map<object, Shape>
  readonly nameChanges: NameChange[]
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
  /** `open` of the request. */
  readonly open: boolean
  /** Reads a whole query; `bare` when columns in its select list reach the client as they are. */
  readonly query: (node: Node, at: At, bare: boolean) => Shape
}

export function newFindings(): Findings {
  return {
    touches: [],
    functions: new Set(),
    shapes: new Map(),
    nameChanges: [],
    objection: undefined,
    touchesHidden: false,
    changesSearchPath: false,
  }
}

/** Stands whatever the target is and the policy says: what cannot be read, is pinned, or is masked. The first one counts. */
export function object(at: At, objection: Refusal): void {
  at.findings.objection ??= objection
}

/**
 * Stands where something has to be protected from the session. At an open target (ReadRequest) it is a matter of policy:
 * an action of its own beside those of the statement, which no policy permits that does not name it.
 */
export function wall(at: At, kind: Privilege, objection: Refusal): void {
  if (at.open) touch(at, 'sql.privileged', targetResource(at.names), { args: { '/kind': kind } })
  else object(at, objection)
}

/** What a wall stands before: `code` runs later, `catalog` is a system relation, `names` mean what is not known. */
export type Privilege =
  | 'code'
  | 'catalog'
  | 'names'
  | 'setting'
  | 'role'
  | 'file'
  | 'program'
  | 'two-phase'
  | 'encoding'

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
  if (!found.every((each) => isSystemSchema(each.schema))) objectToChanged(at, action, range.relname ?? '')
  for (const each of found) {
    touch(at, action, tableResource(at.names, each.schema, each.name), facts)
    guard(at, each)
    if (each.relation !== undefined && DATA_ACTION.test(action)) touchBehind(at, action, each.relation, facts)
  }
  return found
}

/** Actions on a view that reach the data of its tables. */
const DATA_ACTION = /^sql\.(select|insert|update|delete)$/

/** From here on, the name does not mean what the catalog says. */
export function noteChange(at: At, name: string | undefined, now: NameChange['now']): void {
  at.findings.nameChanges.push({ name: name ?? '', now })
}

/** What a name means after a rename is not known; a new view is known, but not to the rules about its tables. */
function objectToChanged(at: At, action: string, name: string): void {
  const now = at.names.changed.get(name)
  if (now === 'moved' || (now === 'shown' && /^sql\.(select|insert|update|delete|truncate)$/.test(action)))
    wall(at, 'names', outdated(name))
}

/** The target looks the names in a prepared statement up again when they have changed. */
export function objectToReplanning(name: string | undefined, at: At): void {
  const doubtful = [...at.names.changed.values()].some((now) => now !== 'made')
  if (doubtful) wall(at, 'names', outdated(`the prepared statement ${name ?? ''}`))
}

export function outdated(name: string): Refusal {
  const hint = 'send that earlier statement on its own and outside of a transaction, and this one after it'
  return denied(`What ${name} means has been changed by an earlier statement of the same transaction.`, hint)
}

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
    wall(at, 'catalog', denied(`${label} shows data of others and may not be used here.`, 'read the tables themselves'))
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
    types: typesIn(found, renamed),
    hidden: new Set(hidden),
    direct: true,
    few: () => false,
  }
}

/** The types of columns by their visible names; `mixed` for one that is not the same in every relation it may be of. */
function typesIn(found: readonly Found[], renamed: readonly string[]): ReadonlyMap<string, string> {
  const types = new Map<string, string>()
  for (const { relation } of found) {
    for (const [i, { name, type }] of (relation?.columns ?? []).entries()) {
      const visible = renamed[i] ?? name
      if (type !== undefined) types.set(visible, (types.get(visible) ?? type) === type ? type : 'mixed')
    }
  }
  return types
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

/** The types of a query's columns under the names that an alias gives to the first of them. */
export function renameTypes(shape: Shape, renamed: readonly string[]): ReadonlyMap<string, string> {
  const named = (shape.columns ?? []).flatMap((column, i) => {
    const type = shape.types?.get(column)
    return type === undefined ? [] : [[renamed[i] ?? column, type] as const]
  })
  return new Map(named)
}

/** The objection to a use of a hidden column that is none of the allowed ones. */
export function objectToUse(at: At, item: FromItem, column: string, whole: boolean): void {
  const subject = whole ? `The whole row of ${item.label} has columns that are` : `${item.label}.${column} is`
  const hint = whole
    ? 'name the columns in the select list'
    : `use ${column} only on its own in the outermost select list`
  object(at, denied(`${subject} masked for you: it may only stand alone in the select list.`, hint))
}
