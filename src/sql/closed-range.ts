import { as, constantText, parts, textOf, type Body, type Node } from './tree.ts'

/** A range closed on both sides names rows only when it is no wider than this. */
const WIDEST_NUMBERS = 1000
const WIDEST_DAYS = 366

/** One side of a range, or both: numbers as they are, dates as days since the epoch. */
type Edge = { readonly column: string; readonly kind: 'number' | 'day'; readonly low?: number; readonly high?: number }

/** The columns (by `key`) that the conditions, all of which hold, keep between two near constants. */
export function closedColumns(
  conditions: readonly Node[],
  key: (column: Node) => string | undefined,
): ReadonlySet<string> {
  const edges = conditions.flatMap((condition) => edgesOf(condition, key))
  const groups = Map.groupBy(edges, (edge) => `${edge.kind} ${edge.column}`)
  const closed = [...groups.values()].filter(isNarrow)
  return new Set(closed.map((group) => group[0]!.column))
}

function isNarrow(edges: readonly Edge[]): boolean {
  const low = Math.max(...edges.map((edge) => edge.low ?? -Infinity))
  const high = Math.min(...edges.map((edge) => edge.high ?? Infinity))
  return high - low <= (edges[0]!.kind === 'number' ? WIDEST_NUMBERS : WIDEST_DAYS)
}

function edgesOf(condition: Node, key: (column: Node) => string | undefined): readonly Edge[] {
  const body = as('A_Expr', condition)
  if (body?.lexpr === undefined || body.rexpr === undefined) return []
  if (body.kind === 'AEXPR_BETWEEN') return betweenEdges(body, key(body.lexpr))
  if (body.kind !== 'AEXPR_OP' || body.name?.length !== 1) return []
  const operator = textOf(body.name[0]) ?? ''
  return [
    ...edge(key(body.lexpr), operator, body.rexpr),
    ...edge(
      key(body.rexpr),
      operator.replace(/[<>]/, (sign) => (sign === '<' ? '>' : '<')),
      body.lexpr,
    ),
  ]
}

function betweenEdges(body: Body<'A_Expr'>, column: string | undefined): readonly Edge[] {
  const [low, high] = as('List', body.rexpr)?.items ?? []
  return low === undefined || high === undefined ? [] : [...edge(column, '>=', low), ...edge(column, '<=', high)]
}

function edge(column: string | undefined, operator: string, limit: Node): readonly Edge[] {
  const value = measure(limit)
  if (column === undefined || value === undefined) return []
  if (operator === '<' || operator === '<=') return [{ column, kind: value.kind, high: value.at }]
  if (operator === '>' || operator === '>=') return [{ column, kind: value.kind, low: value.at }]
  return []
}

function measure(node: Node): { readonly kind: 'number' | 'day'; readonly at: number } | undefined {
  const cast = as('TypeCast', node)
  if (cast !== undefined) return isPlainType(cast) && cast.arg !== undefined ? measure(cast.arg) : undefined
  const text = constantText(node)
  if (text === undefined) return undefined
  if (/^[-+]?\d+(\.\d+)?$/.test(text)) return { kind: 'number', at: Number(text) }
  const day = /^\d{4}-\d\d-\d\d/.exec(text)
  const time = day === null ? NaN : Date.parse(day[0])
  return Number.isNaN(time) ? undefined : { kind: 'day', at: time / 86_400_000 }
}

function isPlainType(cast: Body<'TypeCast'>): boolean {
  const type = parts(cast.typeName?.names).at(-1) ?? ''
  return /^(int[248]|numeric|float[48]|date|timestamp|timestamptz)$/.test(type)
}
