import type { Catalog, CatalogColumn, CatalogRelation } from '../../sql/catalog.ts'
import type { SqlReader, Statement } from '../../sql/reader.ts'

/**
 * The catalog with the classes of the columns of its views: those of everything that a column is made of. Views over others
 * come behind these. A view whose query cannot be followed (a function that is no built-in, a foreign table) keeps none,
 * and stays what may show anything.
 */
export async function followViews(
  catalog: Catalog,
  classes: readonly string[],
  reader: Pick<SqlReader, 'read' | 'learn'>,
  target: string,
): Promise<Catalog> {
  // No target has such a name: sessions read against the whole catalog only.
  const place = `${target} (views)`
  const relations = new Map(catalog.relations.map((relation) => [relation.oid, relation]))
  for (const level of levels(relations)) {
    reader.learn(place, { ...catalog, version: versionOf(catalog, level), relations: [...relations.values()] })
    const followed = await Promise.all(level.map((view) => follow(view, classes, reader, place)))
    for (const view of followed) relations.set(view.oid, view)
  }
  return { ...catalog, relations: [...relations.values()].map(withoutDefinition) }
}

/** The same texts mean something else once the views that they name were followed. */
function versionOf({ version }: Catalog, level: readonly CatalogRelation[]): string {
  return `${version} ${level[0]?.oid}`
}

/** Views that have to do with a column of a class, each behind those that it reads. */
function levels(relations: ReadonlyMap<number, CatalogRelation>): readonly (readonly CatalogRelation[])[] {
  const open = new Set([...relations.values()].filter(({ definition }) => definition !== undefined))
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
  classes: readonly string[],
  reader: Pick<SqlReader, 'read'>,
  target: string,
): Promise<CatalogRelation> {
  const found = view.columns.map((column) => new Set(column.classes))
  for (const name of classes) {
    const statement = await readView(view, name, reader, target)
    if (statement === undefined) return view
    const { hides = [] } = statement
    if (hides !== 'all' && hides.length > 0 && hides.length !== found.length) return view
    for (const [place, own] of found.entries()) if (hides === 'all' || hides[place]) own.add(name)
  }
  const columns = view.columns.map((column, place) => ({ ...column, classes: [...found[place]!].toSorted() }))
  return { ...view, columns, followed: true }
}

/** By what a view's rows are chosen and ordered was decided by whoever made it. */
async function readView(
  { definition }: CatalogRelation,
  hidden: string,
  reader: Pick<SqlReader, 'read'>,
  target: string,
): Promise<Statement | undefined> {
  const request = { text: definition!, target, searchPath: ['pg_catalog'], hidden: [hidden], inference: 'any' } as const
  const reading = await reader.read(request)
  const statement = 'statements' in reading && reading.statements.length === 1 ? reading.statements[0] : undefined
  return statement?.objection === undefined ? statement : undefined
}

function withoutDefinition(relation: CatalogRelation): CatalogRelation {
  return { ...relation, definition: undefined }
}
