import { conjuncts, fewItems, hasSmallLimit, isAggregate, isRowByRow } from './bounds.ts'
import { useColumn, walk } from './expressions.ts'
import { objectToUse, type At, type Shape } from './findings.ts'
import { readFrom, type From, type ReadFacts } from './from.ts'
import { look, openScope, starItems, type FromItem, type Scope } from './scope.ts'
import { as, parts, type Body, type Node } from './tree.ts'

/** An item of a select list; `hidden` when it is a bare column that will be masked on its way to the client. */
type Output = {
  readonly name: string | undefined
  /** Where it is a bare column whose type is known. */
  readonly type?: string | undefined
  readonly hidden?: { readonly item: FromItem; readonly column: string }
}
export type Outputs = {
  readonly list: readonly Output[]
  /** False when positions are not known. */ readonly exact: boolean
}

/** Reads one SELECT, VALUES or TABLE, or an arm of a set operation; its WITH is read already. */
export function readSelect(body: Body<'SelectStmt'>, at: At, bare: boolean): Shape {
  if (body.op !== undefined && body.op !== 'SETOP_NONE') return readSetOperation(body, at)
  const from = readFrom(body.fromClause ?? [], at, factsOf(body))
  const scope = openScope(from.items, at.scope)
  const inside = { ...at, scope }
  walk(
    [body.whereClause, body.havingClause, body.windowClause, body.limitCount, body.limitOffset, body.valuesLists],
    inside,
  )
  const outputs = readTargets(body.targetList ?? [], inside, bare)
  readOrder(body, outputs, inside)
  return {
    columns: outputColumns(body, outputs),
    types: outputTypes(outputs),
    few: once(() => isFew(body, from, inside)),
    correlated: scope.escaped || from.correlated,
  }
}

function factsOf(body: Body<'SelectStmt'>): ReadFacts {
  const locks = (body.lockingClause ?? []).map((each) => as('LockingClause', each)?.strength ?? '')
  const lock = locks.map((strength) => strength.replace('LCS_FOR', '').toLowerCase()).join(' ')
  return { hasWhere: body.whereClause !== undefined, args: lock === '' ? {} : { '/lock': lock } }
}

/** Arms are inner queries: an operation on sets compares values, and what comes out has no origin. */
function readSetOperation(body: Body<'SelectStmt'>, at: At): Shape {
  const scope = openScope([], at.scope)
  const arms = [body.larg, body.rarg].map((arm) => at.query({ SelectStmt: arm ?? {} }, at, false))
  walk([body.sortClause, body.limitCount, body.limitOffset], { ...at, scope })
  const [left, right] = arms
  const few = once(() => hasSmallLimit(body) || (left!.few() && (body.op === 'SETOP_EXCEPT' || right!.few())))
  return { columns: left!.columns, few, correlated: arms.some((arm) => arm.correlated) || scope.escaped }
}

/** Asked again, it answers without looking again. */
function once(find: () => boolean): () => boolean {
  let found: boolean | undefined
  return () => (found ??= find())
}

function isFew(body: Body<'SelectStmt'>, from: From, at: At): boolean {
  if (hasSmallLimit(body)) return true
  if (!isRowByRow(at, [...(body.targetList ?? []), ...(body.valuesLists ?? [])])) return false
  if (isAggregate(at, body)) return true
  const conditions = [...conjuncts(body.whereClause), ...from.conditions.flatMap(conjuncts)]
  return fewItems(at, from.items, conditions).size === from.items.length
}

function outputColumns(body: Body<'SelectStmt'>, outputs: Outputs): readonly string[] | undefined {
  const rows = as('List', body.valuesLists?.[0])?.items
  if (rows !== undefined) return rows.map((_, i) => `column${i + 1}`)
  const names = outputs.list.map((output) => output.name)
  return outputs.exact && names.every((name) => name !== undefined) ? names : undefined
}

/** A name that two outputs have cannot be used by anybody. */
function outputTypes(outputs: Outputs): ReadonlyMap<string, string> {
  return new Map(outputs.list.flatMap(({ name, type }) => (name && type ? [[name, type] as const] : [])))
}

/** Reads a select list or RETURNING. A bare column of a table passes when `bare`; everything else is a use. */
export function readTargets(targets: readonly Node[], at: At, bare: boolean): Outputs {
  const read = targets.map((node) => {
    const target = as('ResTarget', node)
    const column = as('ColumnRef', target?.val)
    if (column === undefined) return readExpression(target, at)
    return isStar(column) ? readStar(column, at, bare) : readBare(column, target?.name, at, bare)
  })
  return { list: read.flatMap((each) => each.list), exact: read.every((each) => each.exact) }
}

function readExpression(target: Body<'ResTarget'> | undefined, at: At): Outputs {
  walk(target?.val, at)
  const call = parts(as('FuncCall', target?.val)?.funcname).at(-1)
  return { list: [{ name: target?.name ?? call }], exact: as('A_Indirection', target?.val) === undefined }
}

function isStar(column: Body<'ColumnRef'>): boolean {
  return as('A_Star', column.fields?.at(-1)) !== undefined
}

function readStar(column: Body<'ColumnRef'>, at: At, bare: boolean): Outputs {
  const qualifier = parts(column.fields).at(-1)
  const items = starItems(at.scope, qualifier)
  const own = items.every((item) => at.scope?.items.includes(item) === true && item.direct)
  if (!bare || !own) useColumn(column, at)
  const list = items.flatMap((item) =>
    (item.columns ?? []).map((name) => {
      const output = { name, type: item.types.get(name) }
      return item.hidden.has(name) ? { ...output, hidden: { item, column: name } } : output
    }),
  )
  return { list, exact: items.every((item) => item.columns !== undefined) && isUnmerged(items) }
}

/** USING and NATURAL list a merged column once: then positions are not those of the items. */
function isUnmerged(items: readonly FromItem[]): boolean {
  const names = items.flatMap((item) => item.columns ?? [])
  return new Set(names).size === names.length
}

function readBare(column: Body<'ColumnRef'>, alias: string | undefined, at: At, bare: boolean): Outputs {
  const names = parts(column.fields)
  const name = alias ?? names.at(-1)
  const sight = look(at.scope, names)
  if (!bare || sight.kind !== 'hidden' || sight.whole || !sight.own || !sight.item.direct) {
    useColumn(column, at)
    const type = sight.kind === 'unknown' ? undefined : sight.item.types.get(names.at(-1) ?? '')
    return { list: [{ name, type }], exact: true }
  }
  return { list: [{ name, hidden: { item: sight.item, column: sight.column } }], exact: true }
}

/** DISTINCT, GROUP BY and ORDER BY, which may name an output by its alias or position. */
function readOrder(body: Body<'SelectStmt'>, outputs: Outputs, at: At): void {
  const distinct = body.distinctClause?.filter((node) => Object.keys(node).length > 0)
  const plain = body.distinctClause !== undefined && distinct?.length === 0
  if (plain || body.groupClause !== undefined) for (const output of outputs.list) objectToOutput(output, at)
  for (const node of [...(distinct ?? []), ...(body.groupClause ?? []), ...(body.sortClause ?? [])]) {
    readKey(node, outputs, at)
  }
}

function readKey(node: Node, outputs: Outputs, at: At): void {
  const key = as('SortBy', node)?.node ?? node
  for (const output of named(key, outputs)) objectToOutput(output, at)
  walk([node], at)
}

/** The outputs that a key may mean; without known positions, all of them. */
function named(key: Node, outputs: Outputs): readonly Output[] {
  const position = as('A_Const', key)?.ival
  if (position !== undefined)
    return outputs.exact ? outputs.list.slice((position.ival ?? 0) - 1, position.ival) : outputs.list
  const alias = parts(as('ColumnRef', key)?.fields)
  return alias.length === 1 ? outputs.list.filter((output) => output.name === alias[0]) : []
}

function objectToOutput(output: Output, at: At): void {
  if (output.hidden !== undefined) objectToUse(at, output.hidden.item, output.hidden.column, false)
}

/** Reads RETURNING: the rows of the statement, and their old and new versions. */
export function readReturning(
  clause: Body<'ReturningClause'> | undefined,
  items: readonly FromItem[],
  at: At,
  bare: boolean,
): Shape {
  const target = items[0]
  const versions = target === undefined ? [] : versionNames(clause).map((name) => ({ ...target, name, direct: false }))
  const visible = openScope(items, undefined)
  const scope: Scope = { ...visible, parent: openScope(versions, at.scope) }
  const outputs = readTargets(clause?.exprs ?? [], { ...at, scope }, bare)
  const names = outputs.list.map((output) => output.name)
  const known = outputs.exact && names.every((name) => name !== undefined)
  return { columns: known ? names : undefined, few: () => false, correlated: false }
}

function versionNames(clause: Body<'ReturningClause'> | undefined): readonly string[] {
  const given = (clause?.options ?? []).map((each) => as('ReturningOption', each)?.value ?? '')
  return ['old', 'new', ...given]
}
