import type { Catalog, CatalogColumn, CatalogRelation } from '../../sql/catalog.ts'
import type { Reading, SqlReader, Statement } from '../../sql/reader.ts'
import type { CatalogQuery } from './catalog.ts'

type FollowOptions = {
  readonly query: CatalogQuery
  readonly classes: readonly string[]
  readonly reader: Pick<SqlReader, 'read' | 'learn'>
  readonly target: string
}

/** Queries of views, with every name qualified, by the view's oid. */
type Definitions = ReadonlyMap<number, string>

/**
 * Gives the columns of a catalog's views the classes of everything that they are made of. Views over others come behind
 * these. A view whose query cannot be followed (a foreign table, a name that the catalog does not have) gets none, and stays
 * what may show anything.
 */
export function viewFollower({ query, ...options }: FollowOptions): (catalog: Catalog) => Promise<Catalog> {
  let latest: Latest | undefined
  return async (catalog) => {
    if (latest?.catalog === catalog) return latest.followed
    const relations = new Map(catalog.relations.map((relation) => [relation.oid, relation]))
    const found = levels(relations)
    if (found.length === 0) return catalog
    const { shared } = catalog
    const views = found.flat()
    const known = shared !== undefined && latest?.catalog.shared === shared ? latest.definitions : undefined
    const definitions = known ?? (await readDefinitions(query, views))
    const followed = await followViews(catalog, found, definitions, options)
    // What somebody's lock has kept back is asked for the next time.
    latest = definitions.size === views.length ? { catalog, definitions, followed } : undefined
    return followed
  }
}

type Latest = { readonly catalog: Catalog; readonly definitions: Definitions; readonly followed: Catalog }

/**
 * PostgreSQL locks what a view shows to tell its query: while somebody alters that, the view cannot be followed, and nothing
 * else waits for it.
 */
async function readDefinitions(query: CatalogQuery, views: readonly CatalogRelation[]): Promise<Definitions> {
  const definitions = new Map<number, string>()
  for (const { oid } of views) {
    const text = `SELECT CASE WHEN set_config('lock_timeout', '${LOCK_MS}', true) IS NOT NULL
      THEN pg_get_viewdef(${oid}) END AS definition`
    const [row] = await query(text).catch(() => [])
    if (typeof row?.['definition'] === 'string') definitions.set(oid, row['definition'])
  }
  return definitions
}

const LOCK_MS = 100

async function followViews(
  catalog: Catalog,
  found: readonly (readonly CatalogRelation[])[],
  definitions: Definitions,
  { classes, reader, target }: Omit<FollowOptions, 'query'>,
): Promise<Catalog> {
  // No target has such a name: sessions read against the whole catalog only.
  const place = `${target} (views)`
  const relations = new Map(catalog.relations.map((relation) => [relation.oid, relation]))
  const known = new Set(catalog.relations.map(({ schema, name }) => `${place}/${schema}.${name}`))
  const read = async (text: string, hidden: string): Promise<Statement | undefined> => {
    const request = { text, target: place, searchPath: ['pg_catalog'], hidden: [hidden], inference: 'any' } as const
    return onlyStatement(await reader.read(request), known)
  }
  for (const level of found) {
    reader.learn(place, { ...catalog, version: versionOf(catalog, level), relations: [...relations.values()] })
    const followed = await Promise.all(level.map((view) => follow(view, definitions.get(view.oid), classes, read)))
    for (const view of followed) relations.set(view.oid, view)
  }
  return { ...catalog, relations: [...relations.values()] }
}

/** The same texts mean something else once the views that they name were followed. */
function versionOf({ version }: Catalog, level: readonly CatalogRelation[]): string {
  return `${version} ${level[0]?.oid}`
}

/** Views that have to do with a column of a class, each behind those that it reads. */
function levels(relations: ReadonlyMap<number, CatalogRelation>): readonly (readonly CatalogRelation[])[] {
  const open = new Set([...relations.values()].filter(({ followable }) => followable))
  const shows = showing(relations)
  const found: CatalogRelation[][] = []
  while (open.size > 0) {
    const level = [...open].filter(({ reads }) => !reads.some((oid) => open.has(relations.get(oid)!)))
    if (level.length === 0) break
    for (const view of level) open.delete(view)
    const sensitive = level.filter(({ oid }) => shows.has(oid))
    if (sensitive.length > 0) found.push(sensitive)
  }
  return found
}

/** Relations that have a class, or read one that has. */
function showing(relations: ReadonlyMap<number, CatalogRelation>): ReadonlySet<number> {
  const all = [...relations.values()]
  const shows = new Set(all.filter(({ columns }) => columns.some(hasClass)).map(({ oid }) => oid))
  for (let before = -1; before !== shows.size;) {
    before = shows.size
    for (const { oid, reads } of all) if (reads.some((read) => shows.has(read))) shows.add(oid)
  }
  return shows
}

function hasClass({ classes }: CatalogColumn): boolean {
  return classes.length > 0
}

async function follow(
  view: CatalogRelation,
  definition: string | undefined,
  classes: readonly string[],
  read: (text: string, hidden: string) => Promise<Statement | undefined>,
): Promise<CatalogRelation> {
  if (definition === undefined) return view
  const found = view.columns.map((column) => new Set(column.classes))
  for (const name of classes) {
    const statement = await read(definition, name)
    if (statement === undefined) return view
    const { hides = [] } = statement
    if (hides !== 'all' && hides.length > 0 && hides.length !== found.length) return view
    for (const [place, own] of found.entries()) if (hides === 'all' || hides[place]) own.add(name)
  }
  const columns = view.columns.map((column, place) => ({ ...column, classes: [...found[place]!].toSorted() }))
  return { ...view, columns, followed: true }
}

/** By what a view's rows are chosen and ordered was decided by whoever made it. Every relation in it has to be known. */
function onlyStatement(reading: Reading, known: ReadonlySet<string>): Statement | undefined {
  const statement = 'statements' in reading && reading.statements.length === 1 ? reading.statements[0] : undefined
  if (statement === undefined || statement.objection !== undefined) return undefined
  const named = statement.touches.filter(({ resource }) => resource.type === 'Table')
  return named.every(({ resource }) => known.has(resource.id)) ? statement : undefined
}
