import { refuse } from '../gateway/refusals.ts'
import { readDelete, readInsert, readMerge, readUpdate } from './changes.ts'
import { walk, walkUse } from './expressions.ts'
import {
  newFindings,
  noteChange,
  object,
  objectToCopy,
  rename,
  renameTypes,
  touch,
  useHidden,
  type At,
  type Columns,
  type Shape,
} from './findings.ts'
import { hidesAny, type Hides } from './flow.ts'
import { creationSchema, schemaResource, targetResource } from './relations.ts'
import { readSelect } from './select.ts'
import { open, parts, as, type Body, type Node, type NodeName } from './tree.ts'

type Read<K extends NodeName> = (body: Body<K>, at: At) => Shape

const QUERIES: { readonly [K in NodeName]?: Read<K> } = {
  SelectStmt: (body, at) => {
    const shape = readSelect(body, at)
    if (body.intoClause === undefined) return shape
    createInto(body.intoClause, at)
    objectToCopy(at, shape)
    return shape
  },
  InsertStmt: readInsert,
  UpdateStmt: readUpdate,
  DeleteStmt: readDelete,
  MergeStmt: readMerge,
}

/** Reads a whole query with its WITH list, and notes what it gives. */
export function readQuery(node: Node, outside: At): Shape {
  const at: At = { ...outside, flow: undefined, under: undefined, use: undefined }
  const [name, body] = open(node) ?? []
  const read = name === undefined ? undefined : (QUERIES[name] as Read<NodeName> | undefined)
  if (read === undefined || body === undefined) return objectToUnknown(at, name)
  const { inside, correlated } = readWith((body as Body<'SelectStmt'>).withClause, { ...at, locked: undefined })
  const own = read(body as never, { ...inside, locked: at.locked })
  const shape = correlated ? { ...own, correlated } : own
  at.findings.shapes.set(body, shape)
  return shape
}

function objectToUnknown(at: At, name: string | undefined): Shape {
  touch(at, 'sql.unknown', targetResource(at.names))
  object(at, refuse('unreadable', `A ${name ?? 'query'} cannot be read here.`, [{ do: 'change', hint: 'use SELECT' }]))
  return { columns: undefined, hides: [], rows: () => Infinity, correlated: true }
}

/** A WITH item sees those before it; with RECURSIVE, itself and all others too. None sees the query's own FROM. */
function readWith(clause: Body<'WithClause'> | undefined, at: At): { inside: At; correlated: boolean } {
  if (clause === undefined) return { inside: at, correlated: false }
  const items = (clause.ctes ?? []).flatMap((node) => as('CommonTableExpr', node) ?? [])
  const known = clause.recursive === true ? assumedOf(items, at) : at.ctes
  const read = readItems(items, at, known)
  const correlated = items.some((item) => read.get(item.ctename ?? '')!.correlated)
  return { inside: { ...at, ctes: clause.recursive === true ? known : read }, correlated }
}

function readItems(
  items: readonly Body<'CommonTableExpr'>[],
  at: At,
  before: ReadonlyMap<string, Shape>,
): Map<string, Shape> {
  const ctes = new Map(before)
  for (const item of items) {
    const shape = at.query(item.ctequery ?? ({} as Node), { ...at, ctes })
    walkUse([item.search_clause, item.cycle_clause], at, 'order')
    // Where a value comes again, the rows end.
    if (item.cycle_clause !== undefined && hidesAny(shape.hides)) useHidden(at, `A column of ${item.ctename}`, 'group')
    ctes.set(item.ctename ?? '', named(item, shape))
  }
  return ctes
}

/** SEARCH and CYCLE add columns that are made of others ("WITH Clause"). */
function named(item: Body<'CommonTableExpr'>, shape: Shape): Shape {
  const renamed = parts(item.aliascolnames)
  const types = renameTypes(shape, renamed)
  const adds = item.search_clause !== undefined || item.cycle_clause !== undefined
  if (adds) return { ...shape, columns: undefined, hides: veil(shape.hides), types }
  return { ...shape, columns: rename(shape.columns, renamed), types }
}

/** So many times at most is looked what flows where in items that see each other. */
const MOST_ROUNDS = 8

/**
 * What is hidden in an item may come back into it: what they give is found out by reading them until nothing more flows. Of
 * an item that sees itself, neither types nor a bound of its rows are known.
 */
function assumedOf(items: readonly Body<'CommonTableExpr'>[], at: At): ReadonlyMap<string, Shape> {
  const assume = (item: Body<'CommonTableExpr'>, hides: Hides, columns?: Columns): [string, Shape] => [
    item.ctename ?? '',
    { columns, hides, rows: () => Infinity, correlated: false },
  ]
  let assumed = new Map(items.map((item) => assume(item, [])))
  const rounds = at.hidden.columns.size > 0 ? MOST_ROUNDS : -1
  for (let round = 0, before = ''; round <= rounds; round++) {
    const read = readItems(items, { ...at, findings: newFindings() }, new Map([...at.ctes, ...assumed]))
    const found = items.map((item) => read.get(item.ctename ?? '')!)
    const flows = JSON.stringify(found.map(({ hides }) => hides))
    if (flows === before) break
    before = flows
    const hides = (place: number): Hides => (round < MOST_ROUNDS ? found[place]!.hides : veil(found[place]!.hides))
    assumed = new Map(items.map((item, place) => assume(item, hides(place), found[place]!.columns)))
  }
  return new Map([...at.ctes, ...assumed])
}

function veil(hides: Hides): Hides {
  return hidesAny(hides) ? 'all' : hides
}

/** The table that SELECT INTO and CREATE TABLE AS make. */
export function createInto(into: Body<'IntoClause'>, at: At, kind = 'table'): void {
  const schema = schemaOfNew(into.rel, at)
  noteChange(at, into.rel?.relname, 'made')
  touch(at, 'sql.create', schemaResource(at.names, schema), {
    args: { '/kind': kind, '/name': into.rel?.relname ?? '' },
  })
  walk(into.options, at)
}

/** The schema that a new relation goes to. */
export function schemaOfNew(range: Body<'RangeVar'> | undefined, at: At): string {
  if (range?.schemaname !== undefined) return range.schemaname
  return range?.relpersistence === 't' ? 'pg_temp' : creationSchema(at.names)
}
