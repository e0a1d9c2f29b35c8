import { isFragile, type Secrecy } from './flow.ts'
import type { Rewrite } from './rewrites.ts'
import type { Rows } from './row-counts.ts'

/** One item of a FROM list, as expressions see it. */
export type FromItem = {
  /** The alias, or the relation's own name; empty for what cannot be named. */
  readonly name: string
  /** For messages: `customers`. */
  readonly label: string
  /** Undefined when not known. */
  columns: readonly string[] | undefined
  /** Types of columns by name, as far as they are known: as in the catalog, or `mixed`. */
  types: ReadonlyMap<string, string>
  /** The columns with something in them that the identity must not see, by their names as visible here. */
  hidden: ReadonlyMap<string, Secrecy>
  /** True when something in it is hidden and its columns are not known: then every name may be that. */
  veiled?: boolean
  /** Where hidden columns cannot be read at the target: what has to be written instead to read it. */
  readonly behind?: readonly Rewrite[]
  /** The same for a table that is written to, whose name has to stay: by column. */
  readonly standIns?: ReadonlyMap<string, string | undefined>
  /** False for what is no relation's row as it is: its columns need not name rows. */
  readonly direct: boolean
  /** How many rows it gives whatever the conditions are. */
  rows: () => Rows
}

/** A column that `*` stands for. */
export type StarColumn = { readonly item: FromItem; readonly name: string }

/** What the names of an expression may mean: the items of its own query, then those of the queries around it. */
export type Scope = {
  readonly items: readonly FromItem[]
  readonly parent: Scope | undefined
  /** What `*` stands for, in order; undefined when not known. Left out: the columns of the items, one after the other. */
  readonly star?: readonly StarColumn[] | undefined
  /** False inside a FROM list, where an item may or may not be in sight: then outer queries are looked through too. */
  readonly certain: boolean
  /** Set when a name was, or may have been, one of an outer query. */
  escaped: boolean
}

export type Sight =
  /** A column that the identity must not see; `whole` when the whole row is meant. */
  | {
      readonly kind: 'hidden'
      readonly item: FromItem
      readonly column: string
      readonly whole: boolean
      readonly secrecy: Secrecy
    }
  | { readonly kind: 'known'; readonly item: FromItem }
  /** No such column as far as is known: an error at the target, or `row.function`. */
  | { readonly kind: 'unknown' }

export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

export function openScope(
  items: readonly FromItem[],
  parent: Scope | undefined,
  certain = true,
  star: Scope['star'] = columnsOf(items),
): Scope {
  return { items, parent, certain, star, escaped: false }
}

/** The columns of the items, one after the other; undefined when not known of all. */
export function columnsOf(items: readonly FromItem[]): readonly StarColumn[] | undefined {
  if (items.some((item) => item.columns === undefined)) return undefined
  return items.flatMap((item) => item.columns!.map((name) => ({ item, name })))
}

/** What a column reference without `*` means; in doubt it is the hidden column. `fields` as in ColumnRef. */
export function look(scope: Scope | undefined, fields: readonly string[]): Sight {
  const column = fields.at(-1) ?? ''
  const qualifier = fields.at(-2)
  for (let level = scope; level !== undefined; level = level.parent) {
    const sight = lookInto(level, column, qualifier)
    if (sight?.kind === 'hidden') return sight
    if (sight !== undefined && level.certain) return sight
    level.escaped = true
  }
  return qualifier === undefined ? lookForRow(scope, column) : { kind: 'unknown' }
}

function lookInto(level: Scope, column: string, qualifier: string | undefined): Sight | undefined {
  const items = qualifier === undefined ? level.items : level.items.filter((item) => item.name === qualifier)
  const hiding = items.find((item) => secrecyOf(item, column) !== undefined)
  if (hiding !== undefined)
    return { kind: 'hidden', item: hiding, column, whole: false, secrecy: secrecyOf(hiding, column)! }
  const knowing = items.find((item) => item.columns?.includes(column))
  if (knowing !== undefined) return { kind: 'known', item: knowing }
  if (qualifier === undefined || items.length === 0) return undefined
  if (SYSTEM_COLUMNS.has(column)) return items[0]!.direct ? { kind: 'known', item: items[0]! } : undefined
  // `row.name` without such a column is the function `name` of the whole row.
  const row = items.find(hidesSome)
  return row === undefined
    ? { kind: 'unknown' }
    : { kind: 'hidden', item: row, column, whole: true, secrecy: rowSecrecy(row) }
}

export function secrecyOf(item: FromItem, column: string): Secrecy | undefined {
  return item.hidden.get(column) ?? (item.veiled === true && !SYSTEM_COLUMNS.has(column) ? 'opaque' : undefined)
}

/** Of a row that shows something hidden. */
export function rowSecrecy(item: FromItem): Secrecy {
  return item.veiled === true || [...item.hidden.values()].some(isFragile) ? 'opaque' : 'derived'
}

/** True when its whole row shows something hidden. */
export function hidesSome(item: FromItem): boolean {
  return item.hidden.size > 0 || item.veiled === true
}

function lookForRow(scope: Scope | undefined, name: string): Sight {
  for (let level = scope; level !== undefined; level = level.parent) {
    const row = level.items.find((item) => item.name === name && hidesSome(item))
    if (row !== undefined) return { kind: 'hidden', item: row, column: name, whole: true, secrecy: rowSecrecy(row) }
  }
  return { kind: 'unknown' }
}

/** The items that `*` or `name.*` stands for. A named one may be of an outer query. */
export function starItems(scope: Scope | undefined, qualifier: string | undefined): readonly FromItem[] {
  if (qualifier === undefined) return scope?.items ?? []
  const found: FromItem[] = []
  for (let level = scope; level !== undefined; level = level.parent) {
    found.push(...level.items.filter((item) => item.name === qualifier))
    if (found.length > 0 && level.certain) return found
    level.escaped = true
  }
  return found
}

/** What `*` or `name.*` stands for in a select list; not `exact`: as far as it is known, in no certain order. */
export function starColumns(
  scope: Scope | undefined,
  qualifier: string | undefined,
): { readonly columns: readonly StarColumn[]; readonly items: readonly FromItem[]; readonly exact: boolean } {
  const items = starItems(scope, qualifier)
  const columns = qualifier === undefined ? scope?.star : columnsOf(items)
  const known = items.filter((item) => item.columns !== undefined)
  return { columns: columns ?? columnsOf(known)!, items, exact: columns !== undefined }
}
