import { flowIn, hidesAny, isFragile, newFlow, stronger, type Hides, type Secrecy, type Use } from './flow.ts'
import { walkFlow } from './flow-nodes.ts'
import { callAsAttribute, callFunction, checkSetConfig, isHarmless, useOperator } from './functions.ts'
import { objectToCopied, touchRelation, useHidden, type At, type Shape } from './findings.ts'
import { look, rowSecrecy, starItems, type FromItem } from './scope.ts'
import { noteQualified, readStandIn } from './stand-ins.ts'
import { as, isTree, parts, textOf, type Body, type Node, type NodeName, type Tree } from './tree.ts'

type Visit<K extends NodeName> = (body: Body<K>, at: At) => void

/** The nodes that mean something in an expression; every other node is only walked through. */
const VISITS: { readonly [K in NodeName]?: Visit<K> } = {
  ColumnRef: (body, at) => useColumn(body, at),
  /** Uses nothing, whatever its value is: a value that is looked at here cannot be another one in the same template. */
  A_Const: () => {},
  FuncCall: (body, at) => {
    callFunction(at, parts(body.funcname), body.args)
    checkSetConfig(at, body)
    if (!isHarmless(at, parts(body.funcname))) walkCopied(body.args, at)
    walkInside('FuncCall', body, at)
  },
  A_Expr: (body, at) => {
    for (const name of operatorNames(body)) useOperator(at, name)
    walkInside('A_Expr', body, at)
  },
  SubLink: (body, at) => {
    if (body.testexpr !== undefined) useOperator(at, body.operName === undefined ? ['='] : parts(body.operName))
    walkSubLink(body, at)
  },
  CaseExpr: (body, at) => {
    if (body.arg !== undefined) useOperator(at, ['='])
    walkInside('CaseExpr', body, at)
  },
  SortBy: (body, at) => {
    if (body.useOp !== undefined) useOperator(at, parts(body.useOp))
    walkFields(body, { ...at, flow: undefined, under: at.flow ?? at.under, use: at.use ?? 'order' })
  },
  A_Indirection: (body, at) => {
    for (const each of body.indirection ?? []) callAsAttribute(at, textOf(each) ?? '')
    walkInside('A_Indirection', body, at)
  },
  RangeVar: (body, at) => void touchRelation(at, 'sql.select', body),
  SelectStmt: (body, at) => useShape(at.query({ SelectStmt: body }, at), at),
  InsertStmt: (body, at) => useShape(at.query({ InsertStmt: body }, at), at),
  UpdateStmt: (body, at) => useShape(at.query({ UpdateStmt: body }, at), at),
  DeleteStmt: (body, at) => useShape(at.query({ DeleteStmt: body }, at), at),
  MergeStmt: (body, at) => useShape(at.query({ MergeStmt: body }, at), at),
}

/** Walks anything of a tree where every column, function and sub-query in it is a use of its own. */
export function walk(value: unknown, at: At): void {
  if (Array.isArray(value)) {
    for (const each of value) walk(each, at)
  } else if (isTree(value)) {
    walkFields(value, at)
  }
}

/** Walks what decides something: nothing in it goes to an output. */
export function walkUse(value: unknown, at: At, use: Use): void {
  walk(value, { ...at, flow: undefined, under: at.flow ?? at.under, use })
}

/** Walks what is written somewhere, or given to a function that does something: nothing hidden may be in it. */
export function walkCopied(value: unknown, at: At): void {
  const flow = newFlow()
  walk(value, { ...at, flow })
  if (flow.secrecy !== null) objectToCopied(at)
}

function walkFields(body: object, at: At): void {
  for (const field in body) {
    const value = (body as Tree)[field]
    if (typeof value !== 'object') continue
    const visit = Object.hasOwn(VISITS, field) ? (VISITS[field as NodeName] as Visit<NodeName>) : undefined
    if (visit !== undefined && isTree(value)) visit(value as never, at)
    else if (isNodeName(field) && isTree(value)) walkInside(field, value, at)
    else walk(value, at)
  }
}

/** In the parser's JSON, names of nodes begin with a capital letter, names of fields do not. */
function isNodeName(field: string): boolean {
  return field >= 'A' && field < '['
}

/** What a node does with the values in it: its own way when they go to an output, else it uses them all. */
function walkInside(name: string, body: object, at: At): void {
  if (at.flow === undefined) walkFields(body, { ...at, use: useOf(name, body, at.use) })
  else walkFlow(name, body, at, { walk, walkUse, walkFields })
}

function useOf(name: string, body: object, use: Use | undefined): Use | undefined {
  if (name === 'FuncCall') return 'function'
  if (name !== 'A_Expr') return use
  return use === 'function' || use === 'order' || use === 'group' ? use : comparison(body)
}

const RANGES = /^(<|>|<=|>=)$/
const PATTERNS = /^!?~~?\*?$/

function comparison(body: Body<'A_Expr'>): Use {
  switch (body.kind) {
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
    case 'AEXPR_SIMILAR':
      return 'pattern'
    case 'AEXPR_OP':
    case 'AEXPR_OP_ANY':
    case 'AEXPR_IN': {
      const operator = parts(body.name).at(-1) ?? ''
      if (operator === '=') return isEquality(body) ? 'equality' : 'join'
      return RANGES.test(operator) ? 'range' : PATTERNS.test(operator) ? 'pattern' : 'function'
    }
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM':
      return 'range'
    default:
      return 'other'
  }
}

/** A column against values that the client wrote: it asks for one that it knows. */
function isEquality({ lexpr, rexpr }: Body<'A_Expr'>): boolean {
  const sides = [lexpr, rexpr]
  return sides.some((side) => as('ColumnRef', side) !== undefined) && sides.some((side) => isWritten(side))
}

function isWritten(node: Node | undefined): boolean {
  if (node === undefined) return false
  const items = as('List', node)?.items ?? as('A_ArrayExpr', node)?.elements
  if (items !== undefined) return items.every(isWritten)
  const cast = as('TypeCast', node)
  return cast === undefined ? 'A_Const' in node || 'ParamRef' in node : isWritten(cast.arg)
}

/** The operators an A_Expr calls; BETWEEN and its like name none, but mean comparisons. */
function operatorNames(body: Body<'A_Expr'>): readonly (readonly string[])[] {
  switch (body.kind) {
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM':
      return [['<'], ['>'], ['<='], ['>=']]
    default:
      return [parts(body.name)]
  }
}

/** A sub-query as a value gives its column; EXISTS asks for its rows only; the others compare. */
function walkSubLink(body: Body<'SubLink'>, at: At): void {
  const query = body.subselect ?? ({} as Node)
  const shape = at.query(query, at)
  if (body.subLinkType === 'EXISTS_SUBLINK') return
  if (body.subLinkType === 'EXPR_SUBLINK') return useShape(shape, at)
  if (body.subLinkType === 'ARRAY_SUBLINK') return useInArray(shape, at)
  walkUse(body.testexpr, at, 'join')
  useShape(shape, { ...at, flow: undefined, under: at.flow ?? at.under, use: 'join' })
}

/** Arrays in an array have to be of one size. */
function useInArray(shape: Shape, at: At): void {
  if (hidesAny(shape.hides) && isFragile(strongestOf(shape.hides))) useShape(shape, { ...at, flow: undefined })
  useShape(shape, at)
  if (at.flow !== undefined && hidesAny(shape.hides)) flowIn(at.flow, 'fragile', undefined)
}

function useShape({ hides }: Shape, at: At): void {
  if (hidesAny(hides)) takeHidden(at, 'A column of a sub-query', strongestOf(hides))
}

function strongestOf(hides: Hides): Secrecy {
  if (hides === 'all') return 'opaque'
  return hides.reduce(stronger, null) ?? 'value'
}

/**
 * A column in an expression: a use of it, of a whole row, or a call of a function by attribute notation. `output`: the name
 * of the output that it is alone.
 */
export function useColumn(body: Body<'ColumnRef'>, at: At, output?: string): void {
  const fields = body.fields ?? []
  const names = parts(fields)
  if (as('A_Star', fields.at(-1)) !== undefined) {
    useStar(at, names.at(-1))
    return
  }
  const sight = look(at.scope, names)
  if (sight.kind !== 'unknown') noteQualified(sight.item, body)
  if (sight.kind === 'hidden') {
    readStandIn(at, sight.item, sight.whole ? undefined : body, output)
    takeHidden(at, labelOf(sight.item, sight.column, sight.whole), sight.secrecy)
  }
  if (sight.kind !== 'known' && names.length > 1) callAsAttribute(at, names.at(-1) ?? '')
}

function useStar(at: At, qualifier: string | undefined): void {
  for (const item of starItems(at.scope, qualifier)) {
    if (item.hidden.size > 0) readStandIn(at, item, undefined)
    for (const column of item.hidden.keys()) takeHidden(at, labelOf(item, column, false), rowSecrecy(item))
    if (item.veiled === true) takeHidden(at, labelOf(item, '*', true), 'opaque')
  }
}

/** Something hidden: noted where it goes to an output, else a use. */
function takeHidden(at: At, column: string, secrecy: Secrecy): void {
  if (at.flow !== undefined) flowIn(at.flow, secrecy, column)
  else useHidden(at, column)
}

export function labelOf(item: FromItem, column: string, whole: boolean): string {
  return whole ? `The row of ${item.label}` : `${item.label}.${column}`
}
