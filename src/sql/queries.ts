import { refuse } from '../gateway/refusals.ts'
import { readDelete, readInsert, readMerge, readUpdate } from './changes.ts'
import { walk } from './expressions.ts'
import { noteChange, object, rename, renameTypes, touch, type At, type Shape } from './findings.ts'
import { creationSchema, schemaResource, targetResource } from './relations.ts'
import { readSelect } from './select.ts'
import { open, parts, as, type Body, type Node, type NodeName } from './tree.ts'

type Read<K extends NodeName> = (body: Body<K>, at: At, bare: boolean) => Shape

const QUERIES: { readonly [K in NodeName]?: Read<K> } = {
  SelectStmt: (body, at, bare) => {
    if (body.intoClause === undefined) return readSelect(body, at, bare)
    createInto(body.intoClause, at)
    return readSelect(body, at, false)
  },
  InsertStmt: readInsert,
  UpdateStmt: readUpdate,
  DeleteStmt: readDelete,
  MergeStmt: readMerge,
}

/** Reads a whole query with its WITH list, and notes what it gives. */
export function readQuery(node: Node, at: At, bare: boolean): Shape {
  const [name, body] = open(node) ?? []
  const read = name === undefined ? undefined : (QUERIES[name] as Read<NodeName> | undefined)
  if (read === undefined || body === undefined) return objectToUnknown(at, name)
  const { inside, correlated } = readWith((body as Body<'SelectStmt'>).withClause, at)
  const own = read(body as never, inside, bare)
  const shape = correlated ? { ...own, correlated } : own
  at.findings.shapes.set(body, shape)
  return shape
}

function objectToUnknown(at: At, name: string | undefined): Shape {
  touch(at, 'sql.unknown', targetResource(at.names))
  object(at, refuse('unreadable', `A ${name ?? 'query'} cannot be read here.`, [{ do: 'change', hint: 'use SELECT' }]))
  return { columns: undefined, few: () => false, correlated: true }
}

/** A WITH item sees those before it; with RECURSIVE, itself and all others too. None sees the query's own FROM. */
function readWith(clause: Body<'WithClause'> | undefined, at: At): { inside: At; correlated: boolean } {
  if (clause === undefined) return { inside: at, correlated: false }
  let correlated = false
  const items = (clause.ctes ?? []).flatMap((node) => as('CommonTableExpr', node) ?? [])
  const ctes = new Map(at.ctes)
  const unknown: Shape = { columns: undefined, few: () => false, correlated: false }
  if (clause.recursive === true) for (const item of items) ctes.set(item.ctename ?? '', unknown)
  for (const item of items) {
    const shape = at.query(item.ctequery ?? ({} as Node), { ...at, ctes }, false)
    correlated ||= shape.correlated
    walk([item.search_clause, item.cycle_clause], at)
    const renamed = parts(item.aliascolnames)
    const named = { ...shape, columns: rename(shape.columns, renamed), types: renameTypes(shape, renamed) }
    ctes.set(item.ctename ?? '', clause.recursive === true ? unknown : named)
  }
  return { inside: { ...at, ctes }, correlated }
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
