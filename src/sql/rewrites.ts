import type { CatalogRelation } from './catalog.ts'

/** A name in a text: where it begins, in bytes of UTF-8, and what its parts are by the parser. */
export type Place = { readonly at: number; readonly names: readonly string[] }

/** A relation in a FROM list that is read through stand-ins for its hidden columns. */
export type RelationRewrite = Place & {
  readonly does: 'relation'
  /** The select list that stands for its columns. */
  readonly list: string
  /** ONLY stands before it. */
  readonly only: boolean
  /** The whole query is `TABLE name`. */
  readonly table: boolean
  /** An alias stands behind it. */
  readonly named: boolean
  /** References to its columns that name its schema, which what stands for it has not. */
  readonly refs: Place[]
}

/** A reference, or a star, in RETURNING. */
export type ReferenceRewrite = Place & {
  readonly does: 'reference'
  readonly star: boolean
  readonly by: string
}

export type Rewrite = RelationRewrite | ReferenceRewrite

/** The relation's columns in order, hidden ones as their stand-ins; undefined when one has none. */
export function standInList(relation: CatalogRelation, hidden: ReadonlySet<string>): string | undefined {
  const list = relation.columns.map(({ name, standIn }) => {
    if (!hidden.has(name)) return quotedName(name)
    return standIn === undefined ? undefined : `${standIn} AS ${quotedName(name)}`
  })
  return list.every((each) => each !== undefined) ? list.join(', ') : undefined
}

export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

type Edit = { readonly start: number; readonly end: number; readonly by: string }

/**
 * The text with its rewrites; undefined when it is written in a way that cannot be followed: the names must be found where
 * the parser says, as it read them. Everything else stays as it is, byte for byte.
 */
export function rewritten(text: string, rewrites: Iterable<Rewrite>): string | undefined {
  const edits = new Map<number, Edit>()
  for (const rewrite of rewrites) {
    const own = rewrite.does === 'relation' ? editsOfRelation(text, rewrite) : [editOfReference(text, rewrite)]
    for (const edit of own) {
      if (edit === undefined) return undefined
      edits.set(edit.start, edit)
    }
  }
  return applied(
    text,
    [...edits.values()].toSorted((a, b) => a.start - b.start),
  )
}

function applied(text: string, edits: readonly Edit[]): string | undefined {
  let made = ''
  let kept = 0
  for (const { start, end, by } of edits) {
    if (start < kept) return undefined
    made += text.slice(kept, start) + by
    kept = end
  }
  return made + text.slice(kept)
}

const BEFORE = /(?:\b(TABLE)\s+)?(?:\b(ONLY)(?:\s+|\s*(\()\s*))?$/i

function editsOfRelation(text: string, rewrite: RelationRewrite): readonly (Edit | undefined)[] {
  const start = unitsAt(text, rewrite.at)
  const nameEnd = endOfName(text, start, rewrite.names)
  const before = BEFORE.exec(text.slice(0, start))!
  const [all, table, only, bracket] = before
  if (nameEnd === undefined || rewrite.only !== (only !== undefined) || rewrite.table !== (table !== undefined))
    return [undefined]
  const closing = bracket === undefined ? 0 : /^\s*\)/.exec(text.slice(nameEnd))?.[0].length
  if (closing === undefined) return [undefined]
  const from = `(SELECT ${rewrite.list} FROM ${only === undefined ? '' : 'ONLY '}${text.slice(start, nameEnd)})`
  const alias = rewrite.named ? '' : ` AS ${quotedName(rewrite.names.at(-1)!)}`
  const by = `${table === undefined ? '' : 'SELECT * FROM '}${from}${alias}`
  const own = { start: start - all.length, end: nameEnd + closing, by }
  return [own, ...rewrite.refs.map((ref) => withoutSchema(text, ref))]
}

/** `public.customers.id` without `public.`. */
function withoutSchema(text: string, { at, names }: Place): Edit | undefined {
  const start = unitsAt(text, at)
  const end = endOfName(text, start, names.slice(0, -2))
  const dot = end === undefined ? undefined : matchAt(DOT, text, end)
  return dot === undefined ? undefined : { start, end: dot, by: '' }
}

function editOfReference(text: string, { at, names, star, by }: ReferenceRewrite): Edit | undefined {
  const start = unitsAt(text, at)
  const end = names.length === 0 ? start : endOfName(text, start, names)
  if (!star) return end === undefined ? undefined : { start, end, by }
  const starEnd = end === undefined ? undefined : matchAt(names.length === 0 ? STAR : DOT_STAR, text, end)
  return starEnd === undefined ? undefined : { start, end: starEnd, by }
}

const BLANKS = String.raw`(?:\s|--[^\n\r]*[\n\r]|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*))*\*\/)*`
const DOT = new RegExp(String.raw`${BLANKS}\.${BLANKS}`, 'y')
const STAR = /\*/y
const DOT_STAR = new RegExp(String.raw`${BLANKS}\.${BLANKS}\*`, 'y')
const NAME = /"(?:[^"]|"")+"|[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*(?!&?['"])/y

/** Where a dotted name ends that begins at `start`, when it is this one; plain and quoted parts only. */
function endOfName(text: string, start: number, names: readonly string[]): number | undefined {
  let at: number | undefined = start
  for (const [place, name] of names.entries()) {
    if (place > 0) at = matchAt(DOT, text, at)
    const end: number | undefined = at === undefined ? undefined : matchAt(NAME, text, at)
    if (end === undefined || nameOf(text.slice(at, end)) !== name) return undefined
    at = end
  }
  return at
}

/** The name that a written one stands for ("Identifiers and Key Words"): letters of ASCII are folded, 63 bytes kept. */
function nameOf(written: string): string {
  const quoted = written.startsWith('"')
  const name = quoted
    ? written.slice(1, -1).replaceAll('""', '"')
    : written.replaceAll(/[A-Z]/g, (each) => each.toLowerCase())
  return Buffer.byteLength(name) <= 63 ? name : '' // a longer one is cut off somewhere: not followed
}

function matchAt(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

function unitsAt(text: string, bytes: number): number {
  return Buffer.from(text).subarray(0, bytes).toString('utf8').length
}
