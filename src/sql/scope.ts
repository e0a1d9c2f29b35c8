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
  /** Names, as visible here, of the columns that the identity must not see. */
  readonly hidden: ReadonlySet<string>
  /** False where a value no longer carries its column's origin: old and new rows, excluded, a named join. */
  readonly direct: boolean
  /** True when it gives few rows whatever the conditions are. */
  few: () => boolean
}

/** What the names of an expression may mean: the items of its own query, then those of the queries around it. */
export type Scope = {
  readonly items: readonly FromItem[]
  readonly parent: Scope | undefined
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
      readonly own: boolean
    }
  | { readonly kind: 'known'; readonly item: FromItem }
  /** No such column as far as is known: an error at the target, or `row.function`. */
  | { readonly kind: 'unknown' }

export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

export function openScope(items: readonly FromItem[], parent: Scope | undefined, certain = true): Scope {
  return { items, parent, certain, escaped: false }
}

/** What a column reference without `*` means; in doubt it is the hidden column. `fields` as in ColumnRef. */
export function look(scope: Scope | undefined, fields: readonly string[]): Sight {
  const column = fields.at(-1) ?? ''
  const qualifier = fields.at(-2)
  for (let level = scope; level !== undefined; level = level.parent) {
    const sight = lookInto(level, column, qualifier, level === scope)
    if (sight?.kind === 'hidden') return sight
    if (sight !== undefined && level.certain) return sight
    level.escaped = true
  }
  return qualifier === undefined ? lookForRow(scope, column) : { kind: 'unknown' }
}

function lookInto(level: Scope, column: string, qualifier: string | undefined, own: boolean): Sight | undefined {
  const items = qualifier === undefined ? level.items : level.items.filter((item) => item.name === qualifier)
  const hiding = items.find((item) => item.hidden.has(column))
  if (hiding !== undefined) return { kind: 'hidden', item: hiding, column, whole: false, own }
  const knowing = items.find((item) => item.columns?.includes(column))
  if (knowing !== undefined) return { kind: 'known', item: knowing }
  if (qualifier === undefined || items.length === 0) return undefined
  if (SYSTEM_COLUMNS.has(column)) return items[0]!.direct ? { kind: 'known', item: items[0]! } : undefined
  // `row.name` without such a column is the function `name` of the whole row.
  const row = items.find((item) => item.hidden.size > 0)
  return row === undefined ? { kind: 'unknown' } : { kind: 'hidden', item: row, column, whole: true, own }
}

function lookForRow(scope: Scope | undefined, name: string): Sight {
  for (let level = scope; level !== undefined; level = level.parent) {
    const row = level.items.find((item) => item.name === name && item.hidden.size > 0)
    if (row !== undefined) return { kind: 'hidden', item: row, column: name, whole: true, own: level === scope }
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
