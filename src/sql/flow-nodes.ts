import { useHidden, type At } from './findings.ts'
import {
  CARRIERS,
  flowIn,
  isFragile,
  newFlow,
  passageThrough,
  SCALAR_TYPES,
  stronger,
  tellsByNull,
  TEXT_TYPES,
  TOTAL_COMPARISONS,
  type Flow,
  type Use,
} from './flow.ts'
import { isHarmless, isOwnOperator } from './functions.ts'
import { look } from './scope.ts'
import { as, constantText, parts, type Body, type Node, type NodeName } from './tree.ts'

/** How expressions are walked (expressions.ts). */
type Walks = {
  readonly walk: (value: unknown, at: At) => void
  readonly walkUse: (value: unknown, at: At, use: Use) => void
  readonly walkFields: (body: object, at: At) => void
}

type Pass<K extends NodeName> = (body: Body<K>, at: At & { readonly flow: Flow }, walks: Walks) => void

/**
 * What each node lets through of the hidden values in it, on their way to an output. A node that may fail, choose or do
 * something by a hidden value lets none through: that is a use of it.
 */
const PASSES: { readonly [K in NodeName]?: Pass<K> } = {
  FuncCall: (body, at, walks) => {
    const name = parts(body.funcname).at(-1) ?? ''
    const others = [body.agg_order, body.agg_filter, body.over]
    const named = body.args?.some((arg) => as('NamedArgExpr', arg) !== undefined) === true
    const plain = !named && body.agg_distinct !== true && body.agg_within_group !== true && body.func_variadic !== true
    const builtin = plain && isHarmless(at, parts(body.funcname))
    const passage = builtin && neverFails(name, body.args) ? passageThrough(name) : undefined
    walks.walkUse(others, at, 'order')
    if (builtin && name === 'count') return nullsOnly(body.args, at, walks)
    if (passage === undefined) return walks.walkUse(body.args, at, 'function')
    const { takes, adds, first = false } = passage
    through(first ? body.args?.slice(0, 1) : body.args, at, walks, takes, adds)
    if (first) walks.walkUse(body.args?.slice(1), at, 'function')
  },
  A_Expr: (body, at, walks) => {
    const sides = [body.lexpr, body.rexpr]
    if (isBuiltinOperator(body, at, (name) => name === '||') && body.kind === 'AEXPR_OP')
      return through(sides, at, walks, 'derived')
    if (!isComparison(body, at) || !isComparedWhole(body, at)) return walks.walkUse(sides, at, comparisonUse(body))
    // Rows are compared column by column: after equal ones, a NULL makes a NULL.
    const rows = sides.some((side) => as('RowExpr', side) !== undefined)
    through(sides, at, walks, 'value', body.kind === 'AEXPR_OP' && !rows ? undefined : 'derived')
  },
  MinMaxExpr: (body, at, walks) => through(body.args, at, walks, 'value'),
  /** Arrays in an array have to be of one size. */
  A_ArrayExpr: (body, at, walks) => through(body.elements, at, walks, 'derived', 'fragile'),
  TypeCast: (body, at, walks) => {
    if (!isText(body.typeName, at)) return walks.walkUse(body.arg, at, 'function')
    const flow = newFlow()
    walks.walk(body.arg, { ...at, flow })
    const { secrecy } = flow
    flowIn(at.flow, tellsByNull(secrecy) ? 'derived' : secrecy && 'value', flow.column)
  },
  NullTest: (body, at, walks) => nullsOnly(body.arg === undefined ? [] : [body.arg], at, walks, true),
  /** Which of them is looked at depends on whether those before it are NULL. */
  CoalesceExpr: (body, at, walks) => {
    for (const arg of body.args ?? []) {
      const flow = newFlow()
      walks.walk(arg, { ...at, flow })
      if (tellsByNull(flow.secrecy)) useHidden(at, flow.column ?? 'A column', 'function')
      flowIn(at.flow, flow.secrecy, flow.column)
    }
  },
  CaseExpr: (body, at, walks) => {
    const branches = (body.args ?? []).flatMap((node) => as('CaseWhen', node) ?? [])
    walks.walkUse([body.arg, branches.map(({ expr }) => expr)], at, 'other')
    through([...branches.map(({ result }) => result), body.defresult], at, walks, 'opaque')
  },
  /** A field of a row, an element of an array. */
  A_Indirection: (body, at, walks) => {
    walks.walkUse(body.indirection, at, 'function')
    const subscripts = (body.indirection ?? []).some((node) => as('A_Indices', node) !== undefined)
    if (subscripts) walks.walkUse(body.arg, at, 'function')
    else through([body.arg], at, walks, 'opaque', 'derived')
  },
}

export function walkFlow(name: string, body: object, at: At, walks: Walks): void {
  const pass = Object.hasOwn(PASSES, name) ? (PASSES[name as NodeName] as Pass<NodeName>) : undefined
  if (pass !== undefined) pass(body as never, at as At & { readonly flow: Flow }, walks)
  else if (CARRIERS.has(name)) walks.walkFields(body, at)
  else walks.walkUse(Object.values(body), at, 'other')
  if (pass !== undefined && at.flow?.secrecy) at.findings.computesHidden = true
}

/** What flows in comes out, with `adds` to it; what is more than it `takes` is used. */
function through(
  values: unknown,
  at: At & { readonly flow: Flow },
  walks: Walks,
  takes: 'value' | 'derived' | 'opaque',
  adds?: 'derived' | 'fragile',
): void {
  const flow = newFlow()
  walks.walk(values, { ...at, flow })
  if (flow.secrecy === null) return
  const tooMuch = isFragile(flow.secrecy) || (takes === 'value' && tellsByNull(flow.secrecy))
  if (takes !== 'opaque' && tooMuch) useHidden(at, flow.column ?? 'A column', 'function')
  flowIn(at.flow, stronger(flow.secrecy, adds ?? null), flow.column)
}

/** Tells only which of them are NULL, and that is not hidden of a value itself; of a row it would tell of its columns. */
function nullsOnly(
  values: readonly Node[] | undefined,
  at: At & { readonly flow: Flow },
  walks: Walks,
  ofRows = false,
): void {
  const flow = newFlow()
  walks.walk(values, { ...at, flow })
  if (tellsByNull(flow.secrecy) || (ofRows && isFragile(flow.secrecy))) flowIn(at.flow, 'derived', flow.column)
  // A stand-in tells no NULLs.
  else if (flow.secrecy !== null && at.rewrites !== undefined) useHidden(at, flow.column ?? 'A column', 'other')
}

/**
 * Of what goes through only with some arguments: `replace` of a text by a longer one is too long where it is found often
 * enough, and the pattern V of `to_char` multiplies.
 */
function neverFails(name: string, args: readonly Node[] = []): boolean {
  if (name !== 'to_char' && name !== 'replace') return true
  const [second, third] = args.slice(1).map(constantText)
  if (name === 'to_char') return second !== undefined && !/v/i.test(second)
  return second !== undefined && third !== undefined && Buffer.byteLength(third) <= Buffer.byteLength(second)
}

/** Rows and lists are compared piece by piece until the answer is known: what comes after must not be able to fail. */
function isComparedWhole({ lexpr, rexpr }: Body<'A_Expr'>, at: At): boolean {
  const list = as('List', rexpr)?.items
  const sides = [lexpr, ...(list ?? [rexpr])].flatMap((side) => side ?? [])
  const rows = sides.map((side) => as('RowExpr', side)?.args)
  if (rows.every((row) => row === undefined)) return (list ?? []).every((each) => isPlain(each, at))
  return sides.every((side, place) => (rows[place] ?? [side]).every((each) => isPlain(each, at)))
}

/** Written out, or a hidden column of a table itself: that of a sub-query may be computed where it is compared. */
function isPlain(node: Node, at: At): boolean {
  const column = as('ColumnRef', node)
  const sight = column === undefined ? undefined : look(at.scope, parts(column.fields))
  if (sight?.kind === 'hidden') return sight.item.direct && !sight.whole
  const cast = as('TypeCast', node)
  if (cast?.arg === undefined) return 'ParamRef' in node || 'A_Const' in node
  // A domain of somebody's own may refuse it.
  return 'A_Const' in cast.arg && cast.typeName !== undefined && isSystemType(at, cast.typeName, SCALAR_TYPES)
}

function isBuiltinOperator(body: Body<'A_Expr'>, at: At, is: (name: string) => boolean): boolean {
  const operator = parts(body.name)
  return operator.length === 1 && !isOwnOperator(at, operator[0]!) && is(operator[0]!)
}

function isComparison(body: Body<'A_Expr'>, at: At): boolean {
  const plain = ['AEXPR_OP', 'AEXPR_DISTINCT', 'AEXPR_NOT_DISTINCT', 'AEXPR_NULLIF', 'AEXPR_IN']
  return plain.includes(body.kind ?? '') && isBuiltinOperator(body, at, (name) => TOTAL_COMPARISONS.has(name))
}

/** A type of the system's own that has every value as a text: `"char"` has not, and another one of the name may refuse some. */
function isText(type: Body<'TypeName'> | undefined, at: At): boolean {
  return type !== undefined && type.arrayBounds === undefined && isSystemType(at, type, TEXT_TYPES)
}

/** True when the name can only be that of one of these types of the system's own. */
export function isSystemType(at: At, type: Body<'TypeName'>, among: ReadonlySet<string>): boolean {
  const names = parts(type.names)
  const name = names.at(-1) ?? ''
  if (!among.has(name)) return false
  if (names.length > 1) return names.length === 2 && names[0] === 'pg_catalog'
  const { searchPath, catalog, changed } = at.names
  const first = searchPath !== undefined && searchPath.indexOf('pg_catalog') <= 0
  return first && !changed.has(name) && catalog.relationsNamed(name).length === 0
}

function comparisonUse(body: Body<'A_Expr'>): Use {
  return /LIKE|SIMILAR/.test(body.kind ?? '') ? 'pattern' : 'function'
}
