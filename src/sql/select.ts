import { conjuncts, fewItems, isAggregate, isRowByRow, rowsOf, rowsOfLimit } from './bounds.ts'
import { useColumn, walk, walkUse } from './expressions.ts'
import { useHidden, type At, type Columns, type Shape } from './findings.ts'
import { either, hidesAny, newFlow, type Hides, type Secrecy, type Use } from './flow.ts'
import { readFrom, type From, type ReadFacts } from './from.ts'
import { hidesSome, look, openScope, secrecyOf, starColumns, type FromItem, type Scope } from './scope.ts'
import { outputName } from './output-names.ts'
import { product, sum, type Rows } from './row-counts.ts'
import { as, parts, type Body, type Node } from './tree.ts'
import { noteQualified, readStarStandIns } from './stand-ins.ts'

/** An item of a select list. */
type Output = {
  readonly name: string | undefined
  /** Where it is a bare column whose type is known. */
  readonly type?: string | undefined
  readonly secrecy: Secrecy | null
  /** What of it is hidden, for messages. */
  readonly column?: string | undefined
}
export type Outputs = {
  readonly list: readonly Output[]
  /** False when positions are not known. */ readonly exact: boolean
}

/** Reads one SELECT, VALUES or TABLE, or an arm of a set operation; its WITH is read already. */
export function readSelect(body: Body<'SelectStmt'>, outside: At): Shape {
  if (body.op !== undefined && body.op !== 'SETOP_NONE') return readSetOperation(body, outside)
  const at = { ...outside, locked: undefined }
  const from = readFrom(body.fromClause ?? [], at, factsOf(body, outside.locked))
  const scope = openScope(from.items, at.scope, true, from.star)
  const inside = { ...at, scope }
  walk([body.whereClause, body.havingClause], inside)
  walkUse([body.windowClause, body.limitCount, body.limitOffset], inside, 'order')
  const outputs = body.valuesLists === undefined ? readTargets(body.targetList ?? [], inside) : readValues(body, inside)
  readOrder(body, outputs, inside)
  return {
    columns: namesOf(outputs),
    hides: hidesOf(outputs),
    types: outputTypes(outputs),
    rows: once(() => rowsOfLimit(body) ?? rowsMade(body, from, inside)),
    correlated: scope.escaped || from.correlated,
  }
}

function factsOf(body: Body<'SelectStmt'>, around: At['locked'] = {}): ReadFacts {
  const locks = (body.lockingClause ?? []).map((each) => as('LockingClause', each)?.strength ?? '')
  const lock = locks.map((strength) => strength.replace('LCS_FOR', '').toLowerCase()).join(' ')
  const table = as('ResTarget', body.targetList?.[0])?.location === -1
  return { hasWhere: body.whereClause !== undefined, args: lock === '' ? around : { '/lock': lock }, table }
}

/** UNION ALL lines up the rows of its arms; every other operation on sets compares them. */
function readSetOperation(body: Body<'SelectStmt'>, at: At): Shape {
  const scope = openScope([], at.scope)
  const [left, right] = [body.larg, body.rarg].map((arm) => at.query({ SelectStmt: arm ?? {} }, at)) as [Shape, Shape]
  const hides = either(left.hides, right.hides)
  const compares = body.op !== 'SETOP_UNION' || body.all !== true
  if (compares && hidesAny(hides)) useHidden(at, 'A column of an operation on sets', 'group')
  readOrder(body, outputsOf(left.columns, hides), { ...at, scope })
  walkUse([body.limitCount, body.limitOffset], { ...at, scope }, 'order')
  const rows = once(() => rowsOfLimit(body) ?? (body.op === 'SETOP_EXCEPT' ? left.rows() : sumOf(left, right)))
  const correlated = left.correlated || right.correlated || scope.escaped
  return { columns: left.columns, hides, rows, correlated }
}

function outputsOf(columns: Shape['columns'], hides: Hides): Outputs {
  const secrecies = hides === 'all' ? (columns ?? []).map(() => 'opaque' as const) : hides
  const list = secrecies.map((secrecy, place) => ({ name: columns?.[place], secrecy }))
  return { list, exact: hides !== 'all' && columns !== undefined }
}

/** Asked again, it answers without looking again. */
function once(find: () => Rows): () => Rows {
  let found: Rows | undefined
  return () => (found ??= find())
}

function sumOf(left: Shape, right: Shape): Rows {
  return sum([left.rows(), right.rows()])
}

function rowsMade(body: Body<'SelectStmt'>, from: From, at: At): Rows {
  if (!isRowByRow(at, [...(body.targetList ?? []), ...(body.valuesLists ?? [])])) return Infinity
  if (isAggregate(at, body)) return 1
  // CUBE makes two to the power of its length of each row.
  if (body.groupClause?.some((node) => as('GroupingSet', node) !== undefined) === true) return Infinity
  const conditions = [...conjuncts(body.whereClause), ...from.conditions.flatMap(conjuncts)]
  const rows = rowsOf(from.items, fewItems(at, from.items, conditions))
  return product([rows, body.valuesLists?.length ?? 1])
}

/** VALUES: rows of equal length, whose columns are numbered. */
function readValues(body: Body<'SelectStmt'>, at: At): Outputs {
  const rows = (body.valuesLists ?? []).map((row) => as('List', row)?.items ?? [])
  const read = rows.map((row) => row.map((value) => secrecyIn(value, at).secrecy))
  const hides = read.reduce<Hides>(
    (all, row) => either(all, row),
    (rows[0] ?? []).map(() => null),
  )
  return outputsOf(
    (rows[0] ?? []).map((_, place) => `column${place + 1}`),
    hides,
  )
}

function namesOf(outputs: Outputs): Columns {
  return outputs.exact ? outputs.list.map((output) => output.name) : undefined
}

export function hidesOf({ list, exact }: Outputs): Hides {
  const hides = list.map(({ secrecy }) => secrecy)
  return exact || !hidesAny(hides) ? hides : 'all'
}

/** A name that two outputs have cannot be used by anybody. */
function outputTypes(outputs: Outputs): ReadonlyMap<string, string> {
  return new Map(outputs.list.flatMap(({ name, type }) => (name && type ? [[name, type] as const] : [])))
}

/** Reads a select list or RETURNING: what is hidden goes to its outputs. */
export function readTargets(targets: readonly Node[], at: At): Outputs {
  const read = targets.map((node) => {
    const target = as('ResTarget', node)
    const column = as('ColumnRef', target?.val)
    if (column === undefined) return readExpression(target, at)
    return isStar(column) ? readStar(column, at) : readBare(column, target?.name, at)
  })
  return { list: read.flatMap((each) => each.list), exact: read.every((each) => each.exact) }
}

/** What is hidden in an expression whose value goes to an output. */
function secrecyIn(value: Node | undefined, at: At): Pick<Output, 'secrecy' | 'column'> {
  const flow = newFlow()
  walk(value, { ...at, flow })
  return flow
}

/** `(row).*` gives as many columns as the row has. */
function readExpression(target: Body<'ResTarget'> | undefined, at: At): Outputs {
  const output = secrecyIn(target?.val, at)
  const name = target?.name ?? outputName(target?.val, (tree) => at.findings.shapes.get(tree))
  const ends = as('A_Indirection', target?.val)?.indirection?.at(-1)
  return { list: [{ ...output, name }], exact: as('A_Star', ends) === undefined }
}

function isStar(column: Body<'ColumnRef'>): boolean {
  return as('A_Star', column.fields?.at(-1)) !== undefined
}

function readStar(column: Body<'ColumnRef'>, at: At): Outputs {
  const star = starColumns(at.scope, parts(column.fields).at(-1))
  for (const item of star.items) noteQualified(item, column)
  readStarStandIns(at, star.items, column)
  const list = star.columns.map(({ item, name }): Output => {
    const secrecy = secrecyOf(item, name) ?? null
    return { name, type: item.types.get(name), secrecy, ...(secrecy && { column: `${item.label}.${name}` }) }
  })
  const veiled = star.items.find((item) => item.columns === undefined && hidesSome(item))
  const rest: Output[] = veiled === undefined ? [] : [{ name: undefined, secrecy: 'opaque', column: veiled.label }]
  return { list: [...list, ...rest], exact: star.exact }
}

function readBare(column: Body<'ColumnRef'>, alias: string | undefined, at: At): Outputs {
  const names = parts(column.fields)
  const flow = newFlow()
  useColumn(column, { ...at, flow }, alias === undefined ? names.at(-1) : undefined)
  const sight = look(at.scope, names)
  const type = sight.kind === 'unknown' ? undefined : sight.item.types.get(names.at(-1) ?? '')
  const { secrecy, column: hidden } = flow
  return { list: [{ name: alias ?? names.at(-1), type, secrecy, column: hidden }], exact: true }
}

/** DISTINCT, GROUP BY and ORDER BY, which may name an output by its alias or position. */
function readOrder(body: Body<'SelectStmt'>, outputs: Outputs, at: At): void {
  const distinct = body.distinctClause?.filter((node) => Object.keys(node).length > 0)
  const plain = body.distinctClause !== undefined && distinct?.length === 0
  if (plain) for (const output of outputs.list) useOutput(output, at, 'group')
  const keys = [...(distinct ?? []), ...(body.groupClause ?? []).flatMap(groupKeys)]
  for (const node of keys) readKey(node, outputs, at, 'group')
  for (const node of body.sortClause ?? []) readKey(node, outputs, at, 'order')
}

/** In GROUPING SETS and in parentheses, too, a key may be the place or the name of an output. */
function groupKeys(node: Node): readonly Node[] {
  const inner = as('GroupingSet', node)?.content ?? as('RowExpr', node)?.args ?? as('List', node)?.items
  return inner === undefined ? [node] : inner.flatMap(groupKeys)
}

function readKey(node: Node, outputs: Outputs, at: At, use: Use): void {
  const key = as('SortBy', node)?.node ?? node
  for (const output of named(key, outputs)) useOutput(output, at, use)
  walkUse([node], at, use)
}

/** The outputs that a key may mean; without known positions, all of them. */
function named(key: Node, outputs: Outputs): readonly Output[] {
  const position = as('A_Const', key)?.ival
  if (position !== undefined)
    return outputs.exact ? outputs.list.slice((position.ival ?? 0) - 1, position.ival) : outputs.list
  const alias = parts(as('ColumnRef', key)?.fields)
  return alias.length === 1 ? outputs.list.filter(({ name }) => (name ?? alias[0]) === alias[0]) : []
}

function useOutput({ secrecy, column }: Output, at: At, use: Use): void {
  if (secrecy !== null) useHidden(at, column ?? 'A column of this', use)
}

/** Reads RETURNING: the rows of the statement, and their old and new versions. */
export function readReturning(
  clause: Body<'ReturningClause'> | undefined,
  {
    items,
    target,
    star,
  }: { readonly items: readonly FromItem[]; readonly target: FromItem; readonly star: Scope['star'] },
  at: At,
): Pick<Shape, 'columns' | 'hides'> {
  const versions = versionNames(clause).map((name) => ({ ...target, name, direct: false }))
  const visible = openScope(items, undefined, true, star)
  const scope: Scope = { ...visible, parent: openScope(versions, at.scope) }
  const outputs = readTargets(clause?.exprs ?? [], { ...at, scope })
  return { columns: namesOf(outputs), hides: hidesOf(outputs) }
}

function versionNames(clause: Body<'ReturningClause'> | undefined): readonly string[] {
  const given = (clause?.options ?? []).map((each) => as('ReturningOption', each)?.value ?? '')
  return ['old', 'new', ...given]
}
