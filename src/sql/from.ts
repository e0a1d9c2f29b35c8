import { isShortUnnest } from './bounds.ts'
import { walk } from './expressions.ts'
import { object, denied, objectToUse, relationItem, rename, renameTypes, touchRelation, type At } from './findings.ts'
import { useOperator } from './functions.ts'
import { openScope, type FromItem, type Scope } from './scope.ts'
import { as, open, parts, type Body, type Node, type NodeName } from './tree.ts'

/** A FROM list, read: what is in sight of the rest of the query, and the conditions of its inner joins. */
export type From = {
  readonly items: readonly FromItem[]
  readonly conditions: readonly Node[]
  readonly correlated: boolean
}

/** Facts that the query gives to the relations it reads: whether it has a WHERE, and the lock it takes. */
export type ReadFacts = { readonly hasWhere: boolean; readonly args: Readonly<Record<string, string>> }

/** While the list is read: sub-queries and functions wait in `later` until all items are known. */
type Builder = {
  readonly at: At
  readonly facts: ReadFacts
  readonly conditions: Node[]
  readonly later: ((inside: At) => void)[]
}

/** Reads a FROM list; `before` are items in sight that are not in it (the target of an UPDATE). */
export function readFrom(nodes: readonly Node[], at: At, facts: ReadFacts, before: readonly FromItem[] = []): From {
  const builder: Builder = { at, facts, conditions: [], later: [] }
  const items = nodes.flatMap((node) => readItem(node, builder))
  const scope = openScope([...before, ...items], at.scope, false)
  for (const read of builder.later) read({ ...at, scope })
  return { items, conditions: builder.conditions, correlated: scope.escaped }
}

const ITEMS: { readonly [K in NodeName]?: (body: Body<K>, builder: Builder) => readonly FromItem[] } = {
  RangeVar: readRangeVar,
  RangeSubselect: (body, builder) => {
    const item = derived(body.alias)
    builder.later.push((inside) => {
      const shape = inside.query(body.subquery ?? ({} as Node), inside, false)
      item.columns = rename(shape.columns, parts(body.alias?.colnames))
      item.types = renameTypes(shape, parts(body.alias?.colnames))
      // What depends on another item (LATERAL) has rows for each of its rows.
      item.few = () => !shape.correlated && shape.few()
    })
    return [item]
  },
  RangeFunction: readFunction,
  RangeTableFunc: (body, builder) => readOpaque(body, body.alias, builder),
  JsonTable: (body, builder) => readOpaque(body, body.alias, builder),
  RangeTableSample: (body, builder) => {
    const method = parts(body.method)
    if (!/^(bernoulli|system)$/.test(method.at(-1) ?? '') || method.length > 1)
      useOperator(builder.at, ['sample', ...method])
    builder.later.push((inside) => walk([body.args, body.repeatable], inside))
    return readItem(body.relation ?? ({} as Node), builder)
  },
  JoinExpr: readJoin,
}

function readItem(node: Node, builder: Builder): readonly FromItem[] {
  const [name, body] = open(node) ?? []
  const read = name === undefined ? undefined : ITEMS[name]
  if (read !== undefined) return read(body as never, builder)
  object(builder.at, denied(`FROM ${name ?? 'item'} cannot be read.`, 'name tables and sub-queries'))
  return []
}

function readRangeVar(body: Body<'RangeVar'>, builder: Builder): readonly FromItem[] {
  const { at, facts } = builder
  const renamed = parts(body.alias?.colnames)
  const cte = body.schemaname === undefined ? at.ctes.get(body.relname ?? '') : undefined
  if (cte === undefined) return [relationItem(at, body, touchRelation(at, 'sql.select', body, facts), renamed)]
  const label = body.relname ?? ''
  const name = body.alias?.aliasname ?? label
  const columns = rename(cte.columns, renamed)
  const types = renameTypes(cte, renamed)
  return [{ name, label, columns, types, hidden: new Set(), direct: false, few: cte.few }]
}

function derived(alias: Body<'Alias'> | undefined): FromItem {
  const name = alias?.aliasname ?? ''
  return { name, label: name, columns: undefined, types: new Map(), hidden: new Set(), direct: false, few: () => false }
}

function readFunction(body: Body<'RangeFunction'>, builder: Builder): readonly FromItem[] {
  const calls = (body.functions ?? []).map((each) => as('FuncCall', as('List', each)?.items?.[0]))
  const own = parts(calls[0]?.funcname).at(-1)
  const item = {
    ...derived(body.alias),
    ...(body.alias === undefined && own !== undefined && { name: own, label: own }),
  }
  const few = calls.every((call) => isShortUnnest(builder.at, call))
  item.few = () => few
  const columns = parts(body.alias?.colnames)
  const described = (body.coldeflist ?? []).flatMap((each) => as('ColumnDef', each)?.colname ?? [])
  const single = calls.length === 1 && few && !body.ordinality
  if (described.length > 0) item.columns = described
  else if (single) item.columns = [columns[0] ?? item.name]
  builder.later.push((inside) => walk([body.functions, body.coldeflist], inside))
  return [item]
}

function readOpaque(body: object, alias: Body<'Alias'> | undefined, builder: Builder): readonly FromItem[] {
  builder.later.push((inside) => walk(body, inside))
  return [derived(alias)]
}

function readJoin(body: Body<'JoinExpr'>, builder: Builder): readonly FromItem[] {
  const left = body.larg === undefined ? [] : readItem(body.larg, builder)
  const right = body.rarg === undefined ? [] : readItem(body.rarg, builder)
  const items = [...left, ...right]
  checkMerge(body, left, right, builder.at)
  readCondition(body, items, builder)
  const using = body.join_using_alias?.aliasname
  const merged = using === undefined ? [] : [{ ...derived(body.join_using_alias), columns: parts(body.usingClause) }]
  return body.alias === undefined ? [...items, ...merged] : [named(body.alias, items)]
}

function readCondition(body: Body<'JoinExpr'>, items: readonly FromItem[], builder: Builder): void {
  if (body.quals === undefined) return
  const condition = body.quals
  if (body.jointype === 'JOIN_INNER') builder.conditions.push(condition)
  builder.later.push((inside) => {
    const scope: Scope = openScope(items, builder.at.scope)
    walk(condition, { ...inside, scope })
    if (scope.escaped && inside.scope !== undefined) inside.scope.escaped = true
  })
}

/** USING and NATURAL compare columns by name: a comparison with a hidden one is a use of it. */
function checkMerge(body: Body<'JoinExpr'>, left: readonly FromItem[], right: readonly FromItem[], at: At): void {
  if (body.usingClause !== undefined || body.isNatural === true) useOperator(at, ['='])
  const using = parts(body.usingClause)
  for (const [side, other] of [
    [left, right],
    [right, left],
  ] as const) {
    for (const item of side) {
      for (const column of item.hidden) {
        const merged = using.includes(column) || (body.isNatural === true && mayHave(other, column))
        if (merged) objectToUse(at, item, column, false)
      }
    }
  }
}

function mayHave(items: readonly FromItem[], column: string): boolean {
  return items.some((item) => item.columns === undefined || item.columns.includes(column))
}

/** A join under an alias of its own: its columns are seen through it only, and no longer carry their origin. */
function named(alias: Body<'Alias'>, items: readonly FromItem[]): FromItem {
  const known = items.every((item) => item.columns !== undefined)
  const all = items.flatMap((item) => item.columns ?? [])
  const renamed = parts(alias.colnames)
  // A renamed merge may shift positions: then every visible name counts as hidden.
  const hides = items.some((item) => item.hidden.size > 0)
  const hidden = items.flatMap((item) => [...item.hidden])
  return {
    name: alias.aliasname ?? '',
    label: alias.aliasname ?? '',
    columns: known && renamed.length === 0 ? all : undefined,
    types: new Map(),
    hidden: new Set(hides ? [...hidden, ...renamed] : []),
    direct: false,
    few: () => false,
  }
}
