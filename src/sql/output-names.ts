import type { Shape } from './findings.ts'
import { open, parts, type Body, type Node, type NodeName } from './tree.ts'

/** A name, and whether an expression around it keeps it, as it keeps those of columns and functions. */
type Named = { readonly name: string; readonly strong: boolean }
type Naming<K extends NodeName> = (body: Body<K>, shapeOf: ShapeOf) => Named | undefined
/** What a sub-query gives, by its tree. */
type ShapeOf = (tree: object) => Shape | undefined

const strong = (name: string | undefined): Named | undefined =>
  name === undefined ? undefined : { name, strong: true }

/** `FigureColname` of PostgreSQL's parse_target.c. What is not here has a name that is not known. */
const NAMES: { readonly [K in NodeName]?: Naming<K> } = {
  ColumnRef: (body) => strong(parts(body.fields).at(-1)),
  A_Indirection: (body, shapeOf) => strong(parts(body.indirection).at(-1)) ?? named(body.arg, shapeOf),
  FuncCall: (body) => strong(parts(body.funcname).at(-1)),
  A_Expr: (body) => (body.kind === 'AEXPR_NULLIF' ? strong('nullif') : NAMELESS),
  TypeCast: (body, shapeOf) => strongest(named(body.arg, shapeOf), parts(body.typeName?.names).at(-1) ?? ''),
  CollateClause: (body, shapeOf) => named(body.arg, shapeOf),
  SubLink: (body, shapeOf) => nameOfSubLink(body, shapeOf),
  CaseExpr: (body, shapeOf) => strongest(body.defresult ? named(body.defresult, shapeOf) : NAMELESS, 'case'),
  A_ArrayExpr: () => strong('array'),
  RowExpr: () => strong('row'),
  CoalesceExpr: () => strong('coalesce'),
  MinMaxExpr: (body) => strong(body.op === 'IS_GREATEST' ? 'greatest' : 'least'),
  A_Const: () => NAMELESS,
  ParamRef: () => NAMELESS,
  BoolExpr: () => NAMELESS,
  BooleanTest: () => NAMELESS,
  NullTest: () => NAMELESS,
}

const NAMELESS: Named = { name: '?column?', strong: false }

/** The name that an expression gives to its column when it is given none; undefined when that is not known. */
export function outputName(node: Node | undefined, shapeOf: ShapeOf): string | undefined {
  return named(node, shapeOf)?.name
}

function named(node: Node | undefined, shapeOf: ShapeOf): Named | undefined {
  const [name, body] = node === undefined ? [] : (open(node) ?? [])
  if (name === undefined || !Object.hasOwn(NAMES, name)) return undefined
  return (NAMES[name] as Naming<NodeName>)(body as never, shapeOf)
}

function strongest(inner: Named | undefined, own: string): Named | undefined {
  return inner === undefined || inner.strong ? inner : { name: own, strong: false }
}

function nameOfSubLink(body: Body<'SubLink'>, shapeOf: ShapeOf): Named | undefined {
  switch (body.subLinkType) {
    case 'EXISTS_SUBLINK':
      return strong('exists')
    case 'ARRAY_SUBLINK':
      return strong('array')
    case 'EXPR_SUBLINK': {
      const [, query] = body.subselect === undefined ? [] : (open(body.subselect) ?? [])
      return strong(query && shapeOf(query)?.columns?.[0])
    }
    default:
      return NAMELESS
  }
}
