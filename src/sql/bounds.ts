import { kindOfType, valuesInRange, type Measurable } from './closed-range.ts'
import type { At, Shape } from './findings.ts'
import { isHarmless, isOwnOperator, isStable, mayReturnSet } from './functions.ts'
import { ARRAY_ROWS, MOST_ROWS, product, sum, type Rows } from './row-counts.ts'
import { SYSTEM_COLUMNS, type FromItem } from './scope.ts'
import { as, isTree, open, parts, textOf, type Body, type Node, type Tree } from './tree.ts'

/** In a longer FROM list nothing is bound: what binds what takes time in proportion to the cube of its length. */
const MOST_ITEMS = 100

/** How many rows an item has for each combination of rows of those that it is bound to. */
type Bound = { readonly rows: Rows; readonly to: ReadonlySet<FromItem> }

/** The items among which column names are looked for, and those known so far to have few rows. */
type Bounding = { readonly at: At; readonly items: readonly FromItem[]; readonly few: Map<FromItem, Bound> }

const FREE: ReadonlySet<FromItem> = new Set()
const UNBOUND: Bound = { rows: Infinity, to: FREE }

/**
 * The items of which the conditions, all of which hold, leave a bounded set of rows: those compared for equality (`=`,
 * IN, `= ANY` of an array, IS NOT DISTINCT FROM) with constants, parameters or columns of items that have few rows
 * themselves, and those kept in a narrow closed range. Whatever is not recognised binds nothing.
 */
export function fewItems(
  at: At,
  items: readonly FromItem[],
  conditions: readonly Node[],
): ReadonlyMap<FromItem, Bound> {
  const few = new Map<FromItem, Bound>()
  for (const item of items) keep(few, item, { rows: item.rows(), to: FREE })
  if (items.length > MOST_ITEMS) return few
  const bounding: Bounding = { at, items, few }
  for (let before = -1; before !== few.size;) {
    before = few.size
    for (const item of items) if (!few.has(item)) keep(few, item, bindsAny(conditions, item, bounding))
  }
  return few
}

function keep(few: Map<FromItem, Bound>, item: FromItem, bound: Bound): void {
  if (bound.rows !== Infinity) few.set(item, bound)
}

/** How many rows these items make together, with all that they are bound to. */
export function rowsOf(items: readonly FromItem[], few: ReadonlyMap<FromItem, Bound>): Rows {
  const all = new Set(items)
  // A Set hands out what is added to it while it is walked.
  for (const item of all) for (const other of few.get(item)?.to ?? FREE) all.add(other)
  return product([...all].map((item) => few.get(item)?.rows ?? Infinity))
}

/** The parts of a condition that all hold when it does. */
export function conjuncts(condition: Node | undefined): readonly Node[] {
  if (condition === undefined) return []
  const bool = as('BoolExpr', condition)
  return bool?.boolop === 'AND_EXPR' ? (bool.args ?? []).flatMap(conjuncts) : [condition]
}

/** The condition that binds the item to the fewest rows. */
function bindsAny(conditions: readonly Node[], item: FromItem, bounding: Bounding): Bound {
  const least = leastOf(
    conditions.map((each) => binds(each, item, bounding)),
    bounding,
  )
  if (least !== UNBOUND) return least
  const plain = !['<', '<=', '>', '>='].some((symbol) => isOwnOperator(bounding.at, symbol))
  const find = (node: Node): Measurable | undefined => (plain ? measurable(node, item, bounding) : undefined)
  return { rows: valuesInRange(conditions, find), to: FREE }
}

function leastOf(bounds: readonly Bound[], { few }: Bounding): Bound {
  const total = ({ rows, to }: Bound): Rows => product([rows, rowsOf([...to], few)])
  return bounds.reduce((least, each) => (total(each) < total(least) ? each : least), UNBOUND)
}

function binds(condition: Node, item: FromItem, bounding: Bounding): Bound {
  const bool = as('BoolExpr', condition)
  if (bool?.boolop === 'OR_EXPR') return oneOf((bool.args ?? []).map((arm) => bindsAny(conjuncts(arm), item, bounding)))
  if (as('CurrentOfExpr', condition) !== undefined) return { rows: 1, to: FREE }
  const link = as('SubLink', condition)
  if (link !== undefined) return { rows: rowsFound(link, item, bounding), to: FREE }
  const comparison = as('A_Expr', condition)
  return comparison === undefined ? UNBOUND : bindsByComparison(comparison, item, bounding)
}

function oneOf(bounds: readonly Bound[]): Bound {
  return { rows: sum(bounds.map(({ rows }) => rows)), to: new Set(bounds.flatMap(({ to }) => [...to])) }
}

function bindsByComparison(body: Body<'A_Expr'>, item: FromItem, bounding: Bounding): Bound {
  const { lexpr, rexpr } = body
  if (lexpr === undefined || rexpr === undefined || !isEquality(parts(body.name), bounding.at)) return UNBOUND
  switch (body.kind) {
    case 'AEXPR_OP':
    case 'AEXPR_NOT_DISTINCT':
      return leastOf([bindsEqual(lexpr, rexpr, item, bounding), bindsEqual(rexpr, lexpr, item, bounding)], bounding)
    case 'AEXPR_IN':
      return oneOf((as('List', rexpr)?.items ?? []).map((each) => bindsEqual(lexpr, each, item, bounding)))
    case 'AEXPR_OP_ANY':
      return columnOf(lexpr, item, bounding) === undefined ? UNBOUND : elementsOf(rexpr, bounding)
    default:
      return UNBOUND
  }
}

/** An operator of somebody's own may find anything equal. */
function isEquality(operator: readonly string[], at: At): boolean {
  const [schema, symbol] = operator.length === 1 ? [undefined, operator[0]] : operator
  return symbol === '=' && (schema === 'pg_catalog' || (schema === undefined && !isOwnOperator(at, '=')))
}

/** `column = value`, or a row with such a pair in it. */
function bindsEqual(left: Node, right: Node, item: FromItem, bounding: Bounding): Bound {
  const [lefts, rights] = [as('RowExpr', left)?.args, as('RowExpr', right)?.args]
  if (lefts !== undefined && rights !== undefined) {
    const pairs = lefts.flatMap((each, i) => (rights[i] === undefined ? [] : [[each, rights[i]] as const]))
    return leastOf(
      pairs.map(([one, other]) => bindsEqual(one, other, item, bounding)),
      bounding,
    )
  }
  if (columnOf(left, item, bounding) === undefined || !isFixed(right, bounding)) return UNBOUND
  return { rows: 1, to: new Set(itemsIn(right, bounding)) }
}

/** The items whose columns stand in what `isFixed`. */
function itemsIn(value: unknown, bounding: Bounding): readonly FromItem[] {
  if (Array.isArray(value)) return value.flatMap((each) => itemsIn(each, bounding))
  if (!isTree(value) || 'SubLink' in value || 'A_Const' in value) return []
  const column = as('ColumnRef', value as Node)
  const item = column && itemOf(column, bounding.items)
  return item === undefined ? Object.values(value).flatMap((each) => itemsIn(each, bounding)) : [item]
}

/** `column IN (SELECT ...)`, `column = ANY (SELECT ...)`. */
function rowsFound(link: Body<'SubLink'>, item: FromItem, bounding: Bounding): Rows {
  const equal = isEquality(link.operName === undefined ? ['='] : parts(link.operName), bounding.at)
  if (link.subLinkType !== 'ANY_SUBLINK' || !equal || link.testexpr === undefined) return Infinity
  const columns = as('RowExpr', link.testexpr)?.args ?? [link.testexpr]
  const shape = shapeOf(link, bounding)
  const named = columns.some((column) => columnOf(column, item, bounding) !== undefined)
  return named && shape !== undefined && !shape.correlated ? shape.rows() : Infinity
}

/** The name of the item's column that `node` plainly is, when its values can name rows. */
function columnOf(node: Node, item: FromItem, bounding: Bounding): string | undefined {
  const column = as('ColumnRef', node)
  if (column === undefined || itemOf(column, bounding.items) !== item) return undefined
  const name = parts(column.fields).at(-1) ?? ''
  return namesRows(item, name) ? name : undefined
}

/**
 * A boolean parts a table in two, and what is no column (a system column, the whole row, a function of it) is the same
 * in any number of rows. What a sub-query computes may be a boolean too.
 */
function namesRows(item: FromItem, name: string): boolean {
  if (SYSTEM_COLUMNS.has(name)) return name === 'ctid' && item.direct
  if (item.columns !== undefined && !item.columns.includes(name)) return false
  const type = item.types.get(name)
  return type === undefined ? item.direct : type !== 'boolean' && type !== 'mixed'
}

function measurable(node: Node, item: FromItem, bounding: Bounding): Measurable | undefined {
  const name = columnOf(node, item, bounding)
  const kind = name === undefined ? undefined : kindOfType(item.types.get(name))
  return name === undefined || kind === undefined ? undefined : { name, kind }
}

function itemOf(column: Body<'ColumnRef'>, items: readonly FromItem[]): FromItem | undefined {
  const names = parts(column.fields)
  const name = names.at(-1) ?? ''
  if (names.length !== column.fields?.length) return undefined
  if (names.length > 1) return only(items.filter((item) => item.name === names.at(-2)))
  if (name === 'ctid' && items.length === 1) return items[0]
  return only(items.filter((item) => item.columns === undefined || item.columns.includes(name)))
}

/** `public.visits` and `archive.visits` may stand beside one another, and both are called `visits`. */
function only(items: readonly FromItem[]): FromItem | undefined {
  return items.length === 1 ? items[0] : undefined
}

/** What has one value for each combination of rows of items that have few. */
const FIXED: { readonly [name: string]: (body: Tree, bounding: Bounding) => boolean } = {
  A_Const: () => true,
  ParamRef: () => true,
  SQLValueFunction: () => true,
  TypeCast: (body, bounding) => !isBoolean(body) && allFixed([body.arg], bounding),
  A_Expr: (body, bounding) => isArithmetic(body) && allFixed([body.lexpr, body.rexpr], bounding),
  CoalesceExpr: (body, bounding) => allFixed(body.args, bounding),
  MinMaxExpr: (body, bounding) => allFixed(body.args, bounding),
  FuncCall: (body, bounding) => isSingle(body, bounding.at) && allFixed(body.args, bounding),
  ColumnRef: (body, bounding) => {
    const item = itemOf(body, bounding.items)
    return item !== undefined && bounding.few.has(item)
  },
  SubLink: (body, bounding) => {
    const shape = shapeOf(body, bounding)
    return body.subLinkType === 'EXPR_SUBLINK' && shape !== undefined && !shape.correlated
  },
}

function isArithmetic(body: Body<'A_Expr'>): boolean {
  return body.kind === 'AEXPR_OP' && /^([-+*/%^]|\|\||->>?|#>>?)$/.test(parts(body.name).join('.'))
}

/** A boolean constant parts a table in two: it names no rows. NULL may mean IS NULL (transform_null_equals). */
function isFixed(node: Node, bounding: Bounding): boolean {
  const constant = as('A_Const', node)
  if (constant !== undefined) return constant.isnull !== true && constant.boolval === undefined
  const [name, body] = open(node) ?? []
  return name !== undefined && body !== undefined && (FIXED[name]?.(body, bounding) ?? false)
}

function allFixed(nodes: unknown, bounding: Bounding): boolean {
  const list = Array.isArray(nodes) ? (nodes as readonly unknown[]) : []
  return list.every((node) => node === undefined || (isTree(node) && isFixed(node as Node, bounding)))
}

function isBoolean(cast: Body<'TypeCast'>): boolean {
  return parts(cast.typeName?.names).at(-1) === 'bool'
}

/** What is volatile is another value for each row that it is compared with. */
function isSingle(call: Body<'FuncCall'>, at: At): boolean {
  const name = parts(call.funcname)
  return isHarmless(at, name) && isStable(at, name) && !mayReturnSet(at, name)
}

/** Of an array written out, a parameter, or a sub-select of few rows. */
function elementsOf(node: Node, bounding: Bounding): Bound {
  const elements = as('A_ArrayExpr', node)
  if (elements !== undefined) {
    const list = elements.elements ?? []
    return allFixed(list, bounding) ? { rows: list.length, to: new Set(itemsIn(list, bounding)) } : UNBOUND
  }
  const cast = as('TypeCast', node)
  if (cast?.arg !== undefined) return elementsOf(cast.arg, bounding)
  const link = as('SubLink', node)
  const shape = link?.subLinkType === 'ARRAY_SUBLINK' ? shapeOf(link, bounding) : undefined
  if (shape !== undefined) return shape.correlated ? UNBOUND : { rows: shape.rows(), to: FREE }
  return isWritten(node) || isSplit(node, bounding.at) ? { rows: ARRAY_ROWS, to: FREE } : UNBOUND
}

/** What its sender wrote out: it has as many values as the text has room for. */
function isWritten(node: Node): boolean {
  const constant = as('A_Const', node)
  const cast = as('TypeCast', node)?.arg
  if (cast !== undefined) return isWritten(cast)
  return as('ParamRef', node) !== undefined || (constant !== undefined && constant.isnull !== true)
}

function isSplit(node: Node, at: At): boolean {
  const call = as('FuncCall', node)
  const name = parts(call?.funcname)
  const splits = /^(string_to_array|regexp_split_to_array)$/.test(name.at(-1) ?? '') && isHarmless(at, name)
  return splits && (call?.args ?? []).every(isWritten)
}

function shapeOf(link: Body<'SubLink'>, bounding: Bounding): Shape | undefined {
  const select = as('SelectStmt', link.subselect)
  return select === undefined ? undefined : bounding.at.findings.shapes.get(select)
}

/** Of `unnest`: one row for each value that the client wrote, of several arrays as many as the longest has. */
export function rowsOfUnnest(at: At, call: Body<'FuncCall'> | undefined): Rows {
  if (call === undefined || parts(call.funcname).at(-1) !== 'unnest' || !isHarmless(at, parts(call.funcname)))
    return Infinity
  return Math.max(0, ...(call.args ?? []).map((arg) => elementsOf(arg, { at, items: [], few: new Map() }).rows))
}

/** What a LIMIT by itself leaves: a small plain number, without ties. Undefined where that is not told. */
export function rowsOfLimit(select: Body<'SelectStmt'>): Rows | undefined {
  if (select.limitOption === 'LIMIT_OPTION_WITH_TIES') return undefined
  const limit = as('A_Const', select.limitCount)?.ival
  const count = limit?.ival ?? 0
  return limit !== undefined && count <= MOST_ROWS ? Math.max(1, count) : undefined
}

/** True when one row stays one row: nothing in the list returns, or may return, a set. */
export function isRowByRow(at: At, targets: readonly Node[]): boolean {
  return targets.every((target) => callsIn(target).every((name) => !mayReturnSet(at, name)))
}

/** True for a select list of plain aggregates: without GROUP BY it gives one row. */
export function isAggregate(at: At, select: Body<'SelectStmt'>): boolean {
  if (select.groupClause !== undefined) return false
  const calls = (select.targetList ?? []).map((target) => as('FuncCall', as('ResTarget', target)?.val))
  const isOne = (call: Body<'FuncCall'> | undefined): boolean =>
    call !== undefined && call.over === undefined && ONE_ROW.has(name(call)) && isHarmless(at, [name(call)])
  return calls.length > 0 && calls.every(isOne)
}

const ONE_ROW: ReadonlySet<string> = new Set(['count', 'min', 'max', 'sum', 'avg'])

function name(call: Body<'FuncCall'>): string {
  return call.funcname?.length === 1 ? (textOf(call.funcname[0]) ?? '') : ''
}

/** The names of functions that are called, or may be: `row.name` calls `name` where the row has no such column. */
function callsIn(value: unknown): readonly (readonly string[])[] {
  if (Array.isArray(value)) return value.flatMap(callsIn)
  if (!isTree(value)) return []
  if ('A_Const' in value) return []
  // What a sub-query returns makes no more rows of the query around it.
  if ('SubLink' in value) return callsIn((value.SubLink as Body<'SubLink'>).testexpr)
  return [...calledBy(value as Node), ...Object.values(value).flatMap(callsIn)]
}

function calledBy(node: Node): readonly (readonly string[])[] {
  const call = as('FuncCall', node)
  if (call !== undefined) return [parts(call.funcname)]
  const fields = parts(as('ColumnRef', node)?.fields).slice(1)
  return [...fields, ...parts(as('A_Indirection', node)?.indirection)].map((name) => [name])
}
