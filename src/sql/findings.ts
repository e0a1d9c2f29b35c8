import type { RangeVar } from 'libpg-query'
import type { Facts, Refusal, Resource, Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Hidden } from './catalog-index.ts'
import { flowIn, hidesAny, secrecyOfType, stronger, type Flow, type Hides, type Secrecy, type Use } from './flow.ts'
import type { CatalogRelation } from './catalog.ts'
import type { Inference, NameChange } from './reader.ts'
import type { Rewrite } from './rewrites.ts'
import { findRelations, tableResource, targetResource, type Found, type Names } from './relations.ts'
import type { FromItem, Scope } from './scope.ts'
import { isSecretRelation, isSystemSchema } from './system-relations.ts'
import type { Node } from './tree.ts'

export type Columns = readonly (string | undefined)[] | undefined

/** What a query gives, as the query around it needs to know it. */
export type Shape = {
  /** Their names as far as they are known; undefined when not even their number is. */
  readonly columns: Columns
  /** What is hidden in its columns. */
  readonly hides: Hides
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
  /** Those of them that are volatile, or not known not to be. */
  readonly volatile: Set<string>
  /** Sub-selects by their tree. */
  readonly shapes: Map<object, Shape>
  readonly nameChanges: NameChange[]
  /** How hidden columns are used otherwise than for an output. */
  readonly uses: Set<Use>
  objection: Refusal | undefined
  touchesHidden: boolean
  /** A hidden value goes through a function, an operator or a cast on its way to an output. */
  computesHidden: boolean
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
  /** Whether hidden columns may be used otherwise than for an output. */
  readonly inference: Inference
  /** Present when the target does not let hidden columns be read: what has to be written instead. */
  readonly rewrites?: Set<Rewrite> | undefined
  /** Where the value of what is being read goes, when it is an output: hidden columns in it are noted there. */
  readonly flow?: Flow | undefined
  /** The output that something decides which does not go to it itself. */
  readonly under?: Flow | undefined
  /** Elsewhere: what a column is used for. */
  readonly use?: Use
  /** Reads a whole query. */
  readonly query: (node: Node, at: At) => Shape
}

export function newFindings(): Findings {
  return {
    touches: [],
    functions: new Set(),
    volatile: new Set(),
    shapes: new Map(),
    nameChanges: [],
    uses: new Set(),
    objection: undefined,
    touchesHidden: false,
    computesHidden: false,
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
      own: { has_where: facts.hasWhere ?? false, functions: [], volatile_functions: [], predicates: [] },
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

/** Stands for the columns of any relation among changed names. */
const ANY_COLUMN = '*.*'

/** From here on, no relation is known to have the columns that the catalog says: heirs have those of what they inherit. */
export function noteColumnChange(at: At): void {
  if (at.hidden.columns.size > 0) noteChange(at, ANY_COLUMN, 'moved')
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
  const hint =
    'send this when that transaction is over: the earlier statement on its own and outside of a transaction, and this one after it'
  return denied(
    `What ${name} means has been changed in a transaction that is still open: this one, or another session's.`,
    hint,
  )
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
    const hint = 'leave it out, or read the tables themselves'
    wall(at, 'catalog', denied(`${label} shows data of others and may not be used here.`, hint))
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
  const columns = columnsIn(at, found)
  const types = typesIn(found, renamed)
  const hidden = found.flatMap((each) => {
    const names = each.relation === undefined ? undefined : at.hidden.columns.get(each.relation.oid)
    return (
      each.relation?.columns.flatMap((column, i) => (names?.has(column.name) ? [renamed[i] ?? column.name] : [])) ?? []
    )
  })
  return {
    name: range.alias?.aliasname ?? range.relname ?? '',
    label: range.relname ?? '',
    columns: columns && rename(columns, renamed),
    types,
    hidden: new Map(hidden.map((name) => [name, secrecyOfType(types.get(name))])),
    // Its hidden columns may have other names by now.
    ...(hidden.length > 0 && isReshaped(at, range) && { veiled: true }),
    direct: true,
    few: () => false,
  }
}

/** A relation with hidden columns is changed only by those who may see them. */
function isReshaped({ names }: At, { relname = '' }: RangeVar): boolean {
  return names.changed.has(relname) && names.changed.get(relname) !== 'made'
}

/** The columns that it surely has: undefined when it may be one of several relations, or columns were changed since. */
function columnsIn(at: At, [first, ...others]: readonly Found[]): readonly string[] | undefined {
  if (first?.relation === undefined || at.names.changed.has(ANY_COLUMN)) return undefined
  if (at.names.changed.has(first.name)) return undefined
  const columns = first.relation.columns.map(({ name }) => name)
  const same = (other: Found): boolean =>
    JSON.stringify(other.relation?.columns.map(({ name }) => name)) === JSON.stringify(columns)
  return others.every(same) ? columns : undefined
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
export function rename<T extends string | undefined>(
  columns: readonly T[],
  renamed: readonly string[],
): readonly (T | string)[]
export function rename(columns: Columns, renamed: readonly string[]): Columns
export function rename(columns: Columns, renamed: readonly string[]): Columns {
  return columns?.map((column, i) => renamed[i] ?? column)
}

/** What a query is to the query around it, as an item of its FROM list. */
export function seenAs(shape: Shape, renamed: readonly string[]): Omit<FromItem, 'name' | 'label' | 'direct'> {
  const columns = rename(shape.columns, renamed)
  const known = columns?.every((name) => name !== undefined) === true ? columns : undefined
  const { few } = shape
  return { columns: known, types: renameTypes(shape, renamed), ...hiddenIn(columns, shape.hides), few }
}

export function denied(message: string, hint: string): Refusal {
  return refuse('denied', message, [{ do: 'change', hint }])
}

/** The types of a query's columns under the names that an alias gives to the first of them. */
export function renameTypes(shape: Shape, renamed: readonly string[]): ReadonlyMap<string, string> {
  const named = (shape.columns ?? []).flatMap((column, i) => {
    const type = column === undefined ? undefined : shape.types?.get(column)
    return type === undefined ? [] : [[renamed[i] ?? column!, type] as const]
  })
  return new Map(named)
}

/** A hidden column where its value decides something; `column` as in a message: `customers.email`. */
export function useHidden(at: At, column: string, use: Use = at.use ?? 'other'): void {
  at.findings.uses.add(use)
  if (at.under !== undefined) flowIn(at.under, 'derived', column)
  if (at.inference === 'any' || (at.inference === 'equality' && use === 'equality')) return
  const hint = 'select it, where it comes back masked, and put conditions on other columns'
  object(at, denied(`${column} is masked for you: it may not be used in ${PLACES[use]}.`, hint))
}

const PLACES: Readonly<Record<Use, string>> = {
  equality: 'a condition',
  pattern: 'a condition',
  range: 'a condition',
  join: 'a condition',
  order: 'an order',
  group: 'a group',
  function: 'a function or operator that may fail or tell of its value',
  other: 'this place',
}

/** Hidden columns that would be copied to where they are not hidden. */
export function objectToCopy(at: At, { hides }: Shape): void {
  if (hidesAny(hides)) objectToCopied(at)
}

export function objectToCopied(at: At): void {
  const hint = 'leave those columns out of what is written'
  object(at, denied('Columns that are masked for you may not be copied.', hint))
}

/** The columns of a query under the names they have here. */
function hiddenIn(columns: Columns, hides: Hides): Pick<FromItem, 'hidden' | 'veiled'> {
  if (!hidesAny(hides)) return { hidden: new Map(), veiled: false }
  if (hides === 'all' || columns === undefined) return { hidden: new Map(), veiled: true }
  const hidden = new Map<string, Secrecy>()
  for (const [place, name] of columns.entries()) {
    const secrecy = name === undefined ? null : stronger(hidden.get(name) ?? null, hides[place] ?? null)
    if (secrecy !== null) hidden.set(name!, secrecy)
  }
  return { hidden, veiled: columns.some((name, place) => name === undefined && hides[place] !== null) }
}
