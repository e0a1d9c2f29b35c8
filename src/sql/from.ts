import { isShortUnnest } from './bounds.ts'
import { newFlow, SCALAR_TYPES } from './flow.ts'
import { isSystemType } from './flow-nodes.ts'
import { labelOf, walk } from './expressions.ts'
import { object, denied, relationItem, seenAs, touchRelation, useHidden, type At, type Shape } from './findings.ts'
import { useOperator } from './functions.ts'
import { readBehind } from './stand-ins.ts'
import { columnsOf, hidesSome, openScope, secrecyOf, type FromItem, type Scope, type StarColumn } from './scope.ts'
import { as, open, parts, type Body, type Node, type NodeName } from './tree.ts'

/** A FROM list, read: what is in sight of the rest of the query, and the conditions of its inner joins. */
export type From = {
  readonly items: readonly FromItem[]
  /** What `*` stands for; undefined when not known. */
  readonly star: readonly StarColumn[] | undefined
  readonly conditions: readonly Node[]
  readonly correlated: boolean
}

/** Facts that the query gives to the relations it reads: whether it has a WHERE, and the lock it takes. */
export type ReadFacts = {
  readonly hasWhere: boolean
  readonly args: Readonly<Record<string, string>>
  /** The query is written `TABLE name`. */
  readonly table?: boolean
  /** A TABLESAMPLE stands behind it. */
  readonly sampled?: boolean
}

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
  const entries = nodes.map((node) => readItem(node, builder))
  const items = entries.flatMap((entry) => entry.items)
  const scope = openScope([...before, ...items], at.scope, false)
  for (const read of builder.later) read({ ...at, scope })
  return { items, star: inOrder(entries), conditions: builder.conditions, correlated: scope.escaped }
}

/** An entry of a FROM list; `star` is asked for when all items are read. */
type Entry = { readonly items: readonly FromItem[]; readonly star: () => readonly StarColumn[] | undefined }

function entryOf(item: FromItem): Entry {
  return { items: [item], star: () => columnsOf([item]) }
}

function inOrder(entries: readonly Entry[]): readonly StarColumn[] | undefined {
  const stars = entries.map(({ star }) => star())
  return stars.every((star) => star !== undefined) ? stars.flat() : undefined
}

const ITEMS: { readonly [K in NodeName]?: (body: Body<K>, builder: Builder) => Entry } = {
  RangeVar: readRangeVar,
  RangeSubselect: (body, builder) => {
    const item = derived(body.alias)
    builder.later.push((inside) => {
      const shape = inside.query(body.subquery ?? ({} as Node), inside)
      const seen = seenAs(shape, parts(body.alias?.colnames))
      // What depends on another item (LATERAL) has rows for each of its rows.
      Object.assign(item, seen, { few: () => !shape.correlated && shape.few() })
    })
    return entryOf(item)
  },
  RangeFunction: readFunction,
  RangeTableFunc: (body, builder) => readOpaque(body, body.alias, builder),
  JsonTable: (body, builder) => readOpaque(body, body.alias, builder),
  RangeTableSample: (body, builder) => {
    const method = parts(body.method)
    if (!/^(bernoulli|system)$/.test(method.at(-1) ?? '') || method.length > 1)
      useOperator(builder.at, ['sample', ...method])
    builder.later.push((inside) => walk([body.args, body.repeatable], inside))
    return readItem(body.relation ?? ({} as Node), { ...builder, facts: { ...builder.facts, sampled: true } })
  },
  JoinExpr: readJoin,
}

function readItem(node: Node, builder: Builder): Entry {
  const [name, body] = open(node) ?? []
  const read = name === undefined ? undefined : ITEMS[name]
  if (read !== undefined) return read(body as never, builder)
  object(builder.at, denied(`FROM ${name ?? 'item'} cannot be read.`, 'name tables and sub-queries'))
  return { items: [], star: () => undefined }
}

function readRangeVar(body: Body<'RangeVar'>, builder: Builder): Entry {
  const { at, facts } = builder
  const renamed = parts(body.alias?.colnames)
  const cte = body.schemaname === undefined ? at.ctes.get(body.relname ?? '') : undefined
  if (cte === undefined) {
    const found = touchRelation(at, 'sql.select', body, facts)
    const item = relationItem(at, body, found, renamed)
    return entryOf(at.rewrites && item.hidden.size > 0 ? { ...item, ...readBehind(at, body, found, facts) } : item)
  }
  const label = body.relname ?? ''
  const name = body.alias?.aliasname ?? label
  return entryOf({ name, label, direct: false, ...seenAs(cte, renamed) })
}

function derived(alias: Body<'Alias'> | undefined): FromItem {
  const name = alias?.aliasname ?? ''
  return { name, label: name, columns: undefined, types: new Map(), hidden: new Map(), direct: false, few: () => false }
}

function readFunction(body: Body<'RangeFunction'>, builder: Builder): Entry {
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
  const single = calls.length === 1 && few && !body.ordinality && isOneColumn(builder.at, calls[0]?.args ?? [])
  if (described.length > 0) item.columns = described
  else if (single) item.columns = [columns[0] ?? item.name]
  builder.later.push((inside) => readMaking([body.functions, body.coldeflist], item, inside))
  return entryOf(item)
}

/** What `unnest` makes of one array of numbers or texts. Of rows it makes their columns, of more arrays one for each. */
function isOneColumn(at: At, [array, ...others]: readonly Node[]): boolean {
  if (array === undefined || others.length > 0) return false
  const elements = as('A_ArrayExpr', array)?.elements
  if (elements !== undefined) return elements.every((each) => as('A_Const', each) !== undefined)
  const type = as('TypeCast', array)?.typeName
  return (
    as('FuncCall', array) !== undefined || (type?.arrayBounds !== undefined && isSystemType(at, type, SCALAR_TYPES))
  )
}

function readOpaque(body: object, alias: Body<'Alias'> | undefined, builder: Builder): Entry {
  const item = derived(alias)
  builder.later.push((inside) => readMaking(body, item, inside))
  return entryOf(item)
}

/** What rows are made of by functions: a hidden value in it decides how many, and may be in any of their columns. */
function readMaking(value: unknown, item: FromItem, inside: At): void {
  const flow = newFlow()
  walk(value, { ...inside, flow })
  if (flow.secrecy === null) return
  useHidden(inside, flow.column ?? 'A column', 'function')
  Object.assign(item, { columns: undefined, veiled: true })
}

const NOTHING: Entry = { items: [], star: () => [] }

function readJoin(body: Body<'JoinExpr'>, builder: Builder): Entry {
  const left = body.larg === undefined ? NOTHING : readItem(body.larg, builder)
  const right = body.rarg === undefined ? NOTHING : readItem(body.rarg, builder)
  const items = [...left.items, ...right.items]
  builder.later.push((inside) => checkMerge(body, left.items, right.items, inside))
  readCondition(body, items, builder)
  const using = body.join_using_alias?.aliasname
  const merged = using === undefined ? [] : [{ ...derived(body.join_using_alias), columns: parts(body.usingClause) }]
  const star = (): Star => mergedColumns(body, left.star(), right.star())
  if (body.alias !== undefined) {
    const item = derived(body.alias)
    builder.later.push(() => void Object.assign(item, named(body.alias!, items, star())))
    return entryOf(item)
  }
  return { items: [...items, ...merged], star }
}

type Star = readonly StarColumn[] | undefined

/** USING and NATURAL give each column that they merge once, before all others ("Table Expressions"). */
function mergedColumns(body: Body<'JoinExpr'>, left: Star, right: Star): Star {
  if (left === undefined || right === undefined) return undefined
  const common = left.filter(({ name }) => right.some((other) => other.name === name)).map(({ name }) => name)
  const merged = body.isNatural === true ? common : parts(body.usingClause)
  const first = merged.flatMap((name) => left.find((column) => column.name === name) ?? [])
  const isRest = ({ name }: StarColumn): boolean => !merged.includes(name)
  return [...first, ...left.filter(isRest), ...right.filter(isRest)]
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
      const natural = body.isNatural === true
      const merges = (column: string): boolean => using.includes(column) || (natural && mayHave(other, column))
      const column = [...item.hidden.keys()].find(merges)
      if (column !== undefined) useHidden(at, labelOf(item, column, false), 'join')
      if (item.veiled === true && (natural || using.length > 0)) useHidden(at, labelOf(item, '', true), 'join')
    }
  }
}

function mayHave(items: readonly FromItem[], column: string): boolean {
  return items.some((item) => item.columns === undefined || item.columns.includes(column))
}

/** A join under an alias of its own: its columns are seen through it only, and no longer carry their origin. */
function named(alias: Body<'Alias'>, items: readonly FromItem[], star: Star): Omit<FromItem, 'name' | 'label'> {
  const behind = items.flatMap((item) => item.behind ?? [])
  const columns = star?.map(({ name }) => name)
  const hides = star?.map(({ item, name }) => secrecyOf(item, name) ?? null)
  const shape: Shape = {
    columns,
    hides: hides ?? (items.some(hidesSome) ? 'all' : []),
    few: () => false,
    correlated: false,
  }
  return { ...seenAs(shape, parts(alias.colnames)), behind, direct: false }
}
