import { createHash } from 'node:crypto'
import type { Catalog, CatalogRelation } from '../../sql/catalog.ts'

type Content = Pick<Catalog, 'relations' | 'functions' | 'stableFunctions' | 'setFunctions' | 'operators'>

/** The versions of a catalog: what only one session can see changes nobody else's. */
export function versionsOf(content: Content): Pick<Catalog, 'version' | 'shared' | 'temporary'> {
  const byOid = new Map(content.relations.map((relation) => [relation.oid, relation]))
  const shared = sharedOf(content.relations, byOid)
  const others = content.relations.filter((relation) => !shared.has(relation))
  const bySchema = Map.groupBy(others, ({ schema }) => schema)
  return {
    version: hash(content),
    shared: hash({ ...content, relations: content.relations.filter((relation) => shared.has(relation)) }),
    temporary: Object.fromEntries([...bySchema].map(([schema, own]) => [schema, hash(own)])),
  }
}

/** All but temporary relations, and what these read: a table may have a temporary child, whose data it shows. */
function sharedOf(
  relations: readonly CatalogRelation[],
  byOid: ReadonlyMap<number, CatalogRelation>,
): ReadonlySet<CatalogRelation> {
  const shared = new Set(relations.filter((each) => each.owner === undefined || isSensitive(each)))
  // A Set hands out what is added to it while it is walked.
  for (const { reads, children = [] } of shared) {
    for (const oid of [...reads, ...children]) if (byOid.has(oid)) shared.add(byOid.get(oid)!)
  }
  return shared
}

/** Whether anything at all is hidden matters to every text. */
function isSensitive({ columns }: CatalogRelation): boolean {
  return columns.some(({ classes }) => classes.length > 0)
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}
