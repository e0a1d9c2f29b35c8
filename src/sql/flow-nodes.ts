import { useHidden, type At } from './findings.ts'
import { CARRIERS, flowIn, newFlow, passageThrough, TEXT_TYPES, TOTAL_OPERATORS, type Flow, type Use } from './flow.ts'
import { isHarmless, isOwnOperator } from './functions.ts'
import { as, parts, type Body, type Node, type NodeName } from './tree.ts'

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
    const plain = body.agg_distinct !== true && body.agg_within_group !== true && body.func_variadic !== true
    const passage = plain && isHarmless(at, parts(body.funcname)) ? passageThrough(name) : undefined
    walks.walkUse(others, at, 'order')
    if (plain && name === 'count' && isHarmless(at, parts(body.funcname))) return nullsOnly(body.args, at, walks)
    if (passage === undefined) return walks.walkUse(body.args, at, 'function')
    const passed = passage.first === true ? body.args?.slice(0, 1) : body.args
    through(passed, at, walks, passage.gives)
    if (passage.first === true) walks.walkUse(body.args?.slice(1), at, 'function')
  },
  A_Expr: (body, at, walks) => {
    if (!isTotal(body, at)) return walks.walkUse([body.lexpr, body.rexpr], at, comparisonUse(body))
    through([body.lexpr, body.rexpr], at, walks, body.kind === 'AEXPR_OP' ? 'value' : 'derived')
  },
  TypeCast: (body, at, walks) => {
    const type = parts(body.typeName?.names).at(-1) ?? ''
    const isText = TEXT_TYPES.has(type) && body.typeName?.arrayBounds === undefined
    if (isText) walks.walk(body.arg, at)
    else walks.walkUse(body.arg, at, 'function')
  },
  NullTest: (body, at, walks) => nullsOnly(body.arg === undefined ? [] : [body.arg], at, walks),
  /** Which of them is looked at depends on whether those before it are NULL. */
  CoalesceExpr: (body, at, walks) => {
    for (const arg of body.args ?? []) {
      const flow = newFlow()
      walks.walk(arg, { ...at, flow })
      if (flow.secrecy === 'derived') useHidden(at, flow.column ?? 'A column', 'function')
      flowIn(at.flow, flow.secrecy, flow.column)
    }
  },
  CaseExpr: (body, at, walks) => {
    const branches = (body.args ?? []).flatMap((node) => as('CaseWhen', node) ?? [])
    walks.walkUse([body.arg, branches.map(({ expr }) => expr)], at, 'other')
    through([...branches.map(({ result }) => result), body.defresult], at, walks, 'derived')
  },
  /** A field of a row, an element of an array. */
  A_Indirection: (body, at, walks) => {
    walks.walkUse(body.indirection, at, 'function')
    const subscripts = (body.indirection ?? []).some((node) => as('A_Indices', node) !== undefined)
    if (subscripts) walks.walkUse(body.arg, at, 'function')
    else through([body.arg], at, walks, 'derived')
  },
}

export function walkFlow(name: string, body: object, at: At, walks: Walks): void {
  const pass = Object.hasOwn(PASSES, name) ? (PASSES[name as NodeName] as Pass<NodeName>) : undefined
  if (pass !== undefined) pass(body as never, at as At & { readonly flow: Flow }, walks)
  else if (CARRIERS.has(name)) walks.walkFields(body, at)
  else walks.walkUse(Object.values(body), at, 'other')
}

/** What flows in comes out as `gives` at least. */
function through(values: unknown, at: At & { readonly flow: Flow }, walks: Walks, gives: 'value' | 'derived'): void {
  const flow = newFlow()
  walks.walk(values, { ...at, flow })
  flowIn(at.flow, flow.secrecy === null || gives === 'value' ? flow.secrecy : gives, flow.column)
}

/** Tells only which of them are NULL, and that is not hidden of a value itself. */
function nullsOnly(values: readonly Node[] | undefined, at: At & { readonly flow: Flow }, walks: Walks): void {
  const flow = newFlow()
  walks.walk(values, { ...at, flow })
  if (flow.secrecy === 'derived') flowIn(at.flow, 'derived', flow.column)
  // A stand-in tells no NULLs.
  if (flow.secrecy === 'value' && at.rewrites !== undefined) useHidden(at, flow.column ?? 'A column', 'other')
}

function isTotal(body: Body<'A_Expr'>, at: At): boolean {
  const operator = parts(body.name)
  const builtin = operator.length === 1 && !isOwnOperator(at, operator[0]!) && TOTAL_OPERATORS.has(operator[0]!)
  const plain = ['AEXPR_OP', 'AEXPR_DISTINCT', 'AEXPR_NOT_DISTINCT', 'AEXPR_NULLIF', 'AEXPR_IN']
  return builtin && plain.includes(body.kind ?? '')
}

function comparisonUse(body: Body<'A_Expr'>): Use {
  return /LIKE|SIMILAR/.test(body.kind ?? '') ? 'pattern' : 'function'
}
