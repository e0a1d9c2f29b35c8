import { as, constantText, parts, textOf, type Body, type Node } from './tree.ts'

/** A range closed on both sides names rows only when it is no wider than this. */
const WIDEST = { number: 1000, day: 366 } as const

/** A column whose ranges can be measured: one of whole numbers, or of dates or times. */
export type Measurable = { readonly name: string; readonly kind: keyof typeof WIDEST }

/** One side of a range, or both: numbers as they are, dates as days since the epoch. */
type Edge = { readonly column: Measurable; readonly low?: number; readonly high?: number }

/** How many values the conditions, all of which hold, leave a column (by `find`) between two near constants, or Infinity. */
export function valuesInRange(conditions: readonly Node[], find: (column: Node) => Measurable | undefined): number {
  const edges = conditions.flatMap((condition) => edgesOf(condition, find))
  return Math.min(...[...Map.groupBy(edges, (edge) => edge.column.name).values()].map(valuesBetween))
}

/** The type of a column with fractions, or of text, says nothing of how many rows lie between two of its values. */
export function kindOfType(type: string | undefined): Measurable['kind'] | undefined {
  if (/^(smallint|integer|bigint)$/.test(type ?? '')) return 'number'
  return /^(date|timestamp (with|without) time zone)$/.test(type ?? '') ? 'day' : undefined
}

function valuesBetween(edges: readonly Edge[]): number {
  const low = Math.max(...edges.map((edge) => edge.low ?? -Infinity))
  const high = Math.min(...edges.map((edge) => edge.high ?? Infinity))
  return high - low <= WIDEST[edges[0]!.column.kind] ? Math.max(1, high - low + 1) : Infinity
}

function edgesOf(condition: Node, find: (column: Node) => Measurable | undefined): readonly Edge[] {
  const body = as('A_Expr', condition)
  if (body?.lexpr === undefined || body.rexpr === undefined) return []
  if (body.kind === 'AEXPR_BETWEEN') return betweenEdges(body, find(body.lexpr))
  if (body.kind !== 'AEXPR_OP' || body.name?.length !== 1) return []
  const operator = textOf(body.name[0]) ?? ''
  return [
    ...edge(find(body.lexpr), operator, body.rexpr),
    ...edge(
      find(body.rexpr),
      operator.replace(/[<>]/, (sign) => (sign === '<' ? '>' : '<')),
      body.lexpr,
    ),
  ]
}

function betweenEdges(body: Body<'A_Expr'>, column: Measurable | undefined): readonly Edge[] {
  const [low, high] = as('List', body.rexpr)?.items ?? []
  return low === undefined || high === undefined ? [] : [...edge(column, '>=', low), ...edge(column, '<=', high)]
}

function edge(column: Measurable | undefined, operator: string, limit: Node): readonly Edge[] {
  const at = column === undefined ? undefined : measure(limit, column.kind)
  if (column === undefined || at === undefined) return []
  if (operator === '<' || operator === '<=') return [{ column, high: at }]
  if (operator === '>' || operator === '>=') return [{ column, low: at }]
  return []
}

function measure(node: Node, kind: Measurable['kind']): number | undefined {
  const cast = as('TypeCast', node)
  if (cast !== undefined) return isPlainType(cast) && cast.arg !== undefined ? measure(cast.arg, kind) : undefined
  const text = constantText(node)
  if (text === undefined) return undefined
  return kind === 'number' ? wholeNumber(text) : daysSinceEpoch(text)
}

function wholeNumber(text: string): number | undefined {
  return /^[-+]?\d{1,15}$/.test(text) ? Number(text) : undefined
}

const ISO = /^(\d{4}-\d\d-\d\d)(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[-+]\d\d(?::?\d\d)?)?)?$/

/** Exactly an ISO 8601 date or timestamp: `4000-01-01 BC` is none. */
function daysSinceEpoch(text: string): number | undefined {
  const time = Date.parse(ISO.exec(text)?.[1] ?? '')
  return Number.isNaN(time) ? undefined : time / 86_400_000
}

function isPlainType(cast: Body<'TypeCast'>): boolean {
  const type = parts(cast.typeName?.names).at(-1) ?? ''
  return /^(int[248]|date|timestamp|timestamptz)$/.test(type) && cast.typeName?.arrayBounds === undefined
}
