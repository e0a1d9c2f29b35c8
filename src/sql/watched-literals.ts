import type { ParseResult } from 'libpg-query'
import { isQuery } from './commands.ts'
import { templateOf, type Literal } from './lexer.ts'
import { constantText, type Body, type Tree } from './tree.ts'

/** The places, among the literals of a text's template, of those whose value its reading may depend on. */
export type Pinned = () => readonly number[]

type Constant = Body<'A_Const'>
type Text = { readonly text: string; readonly literals: readonly Literal[]; readonly pinned: Set<number> }

/**
 * Watches the values of a text's literals in its tree: one that is looked at from now on, by whatever code, is pinned.
 * So is one that the grammar used up itself (`float(24)`): it is no constant in the tree. All others may be any literal
 * of their kind: parser and analysis would have gone the same way. Undefined when the text has no template, or has a
 * statement that is no query.
 */
export function watchLiterals(tree: ParseResult, text: string): Pinned | undefined {
  if (!(tree.stmts ?? []).every(({ stmt }) => stmt !== undefined && isQuery(stmt))) return undefined
  const literals = templateOf(text)?.literals
  if (literals === undefined) return undefined
  const pinned = new Set(literals.keys())
  const places = placesOf(text, literals)
  watchIn(tree, places, { text, literals, pinned })
  return () => [...pinned].toSorted((a, b) => a - b)
}

/** The literals by where PostgreSQL says that their constant is, in bytes of UTF-8: at the literal, or at its sign. */
function placesOf(text: string, literals: readonly Literal[]): ReadonlyMap<number, number> {
  const places = new Map<number, number>()
  let [units, bytes] = [0, 0]
  for (const [place, { kind, start }] of literals.entries()) {
    bytes += Buffer.byteLength(text.slice(units, start))
    units = start
    places.set(bytes, place)
    const sign = kind === 's' ? undefined : /-[ \t\n\r\f]*$/.exec(text.slice(Math.max(0, start - 8), start))
    if (sign !== null && sign !== undefined) places.set(bytes - sign[0].length, place)
  }
  return places
}

/** The tree of a text is as large as the text is: its fields are walked, not copied. */
function watchIn(value: object, places: ReadonlyMap<number, number>, text: Text): void {
  if (Array.isArray(value)) {
    for (const each of value) if (typeof each === 'object') watchIn(each, places, text)
    return
  }
  for (const field in value) {
    const each = (value as Tree)[field]
    if (typeof each !== 'object' || each === null) continue
    if (field === 'A_Const') watch(each, places, text)
    else watchIn(each, places, text)
  }
}

function watch(constant: Constant, places: ReadonlyMap<number, number>, { text, literals, pinned }: Text): void {
  const place = places.get(constant.location ?? -1)
  const literal = place === undefined ? undefined : literals[place]
  if (place === undefined || literal === undefined || !isSame(constant, literal, text)) return
  const field = FIELDS[literal.kind]
  const holder = constant[field] as { readonly [field: string]: unknown }
  const value = holder[field] // absent when it is zero
  Object.defineProperty(holder, field, { enumerable: true, get: () => (pinned.add(place), value) })
  pinned.delete(place)
}

const FIELDS = { i: 'ival', l: 'fval', n: 'fval', s: 'sval' } as const

/** Lexer and parser agree on what stands there. */
function isSame(constant: Constant, { kind, start, end }: Literal, text: string): boolean {
  if (constant[FIELDS[kind]] === undefined) return false
  const value = constantText({ A_Const: constant })
  if (kind !== 's') return value?.replace('-', '') === text.slice(start, end)
  return value === text.slice(start + 1, end - 1).replaceAll("''", "'")
}
