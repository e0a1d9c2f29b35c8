import { callAsAttribute, callFunction, checkSetConfig, useOperator } from './functions.ts'
import { objectToUse, touchRelation, type At } from './findings.ts'
import { look, starItems } from './scope.ts'
import { as, isTree, parts, textOf, type Body, type NodeName, type Tree } from './tree.ts'

type Visit<K extends NodeName> = (body: Body<K>, at: At) => void

/** The nodes that mean something in an expression; every other node is only walked through. */
const VISITS: { readonly [K in NodeName]?: Visit<K> } = {
  ColumnRef: useColumn,
  /** Uses nothing, whatever its value is: a value that is looked at here cannot be another one in the same template. */
  A_Const: () => {},
  FuncCall: (body, at) => {
    callFunction(at, parts(body.funcname), body.args)
    checkSetConfig(at, body)
    walkFields(body, at)
  },
  A_Expr: (body, at) => {
    for (const name of operatorNames(body)) useOperator(at, name)
    walkFields(body, at)
  },
  SubLink: (body, at) => {
    if (body.testexpr !== undefined) useOperator(at, body.operName === undefined ? ['='] : parts(body.operName))
    walkFields(body, at)
  },
  CaseExpr: (body, at) => {
    if (body.arg !== undefined) useOperator(at, ['='])
    walkFields(body, at)
  },
  SortBy: (body, at) => {
    if (body.useOp !== undefined) useOperator(at, parts(body.useOp))
    walkFields(body, at)
  },
  A_Indirection: (body, at) => {
    for (const each of body.indirection ?? []) callAsAttribute(at, textOf(each) ?? '')
    walkFields(body, at)
  },
  RangeVar: (body, at) => void touchRelation(at, 'sql.select', body),
  SelectStmt: (body, at) => void at.query({ SelectStmt: body }, at, false),
  InsertStmt: (body, at) => void at.query({ InsertStmt: body }, at, false),
  UpdateStmt: (body, at) => void at.query({ UpdateStmt: body }, at, false),
  DeleteStmt: (body, at) => void at.query({ DeleteStmt: body }, at, false),
  MergeStmt: (body, at) => void at.query({ MergeStmt: body }, at, false),
}

/** Walks anything of a tree where every column, function and sub-query in it is a use of its own. */
export function walk(value: unknown, at: At): void {
  if (Array.isArray(value)) {
    for (const each of value) walk(each, at)
  } else if (isTree(value)) {
    walkFields(value, at)
  }
}

function walkFields(body: object, at: At): void {
  for (const field in body) {
    const value = (body as Tree)[field]
    if (typeof value !== 'object') continue
    const visit = Object.hasOwn(VISITS, field) ? (VISITS[field as NodeName] as Visit<NodeName>) : undefined
    if (visit !== undefined && isTree(value)) visit(value as never, at)
    else walk(value, at)
  }
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

/** A column in an expression: a use of it, of a whole row, or a call of a function by attribute notation. */
export function useColumn(body: Body<'ColumnRef'>, at: At): void {
  const fields = body.fields ?? []
  const names = parts(fields)
  if (as('A_Star', fields.at(-1)) !== undefined) {
    useStar(at, names.at(-1))
    return
  }
  const sight = look(at.scope, names)
  if (sight.kind === 'hidden') objectToUse(at, sight.item, sight.column, sight.whole)
  if (sight.kind !== 'known' && names.length > 1) callAsAttribute(at, names.at(-1) ?? '')
}

function useStar(at: At, qualifier: string | undefined): void {
  for (const item of starItems(at.scope, qualifier)) {
    for (const column of item.hidden) objectToUse(at, item, column, false)
  }
}
