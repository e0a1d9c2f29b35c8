import type { Profile, ProfileRelation, ProfileRequest } from '../../credentials/profile.ts'
import { indexCatalog, type Hidden } from '../../sql/catalog-index.ts'
import type { Catalog, CatalogRelation } from '../../sql/catalog.ts'
import { isSystemSchema } from '../../sql/system-relations.ts'

/** What sessions' roles may be given at a target, worked out once for each catalog and set of hidden classes. */
export type ProfileRequests = (catalog: Catalog, classes: readonly string[]) => ProfileRequest

export function profileRequests(profile: Profile): ProfileRequests {
  const known = new WeakMap<Catalog, Map<string, ProfileRequest>>()
  return (catalog, classes) => {
    const made = known.get(catalog) ?? new Map<string, ProfileRequest>()
    known.set(catalog, made)
    const key = JSON.stringify(classes)
    const request = made.get(key) ?? { classes, relations: relationsOf(catalog, profile, classes) }
    made.set(key, request)
    return request
  }
}

function relationsOf(catalog: Catalog, { schemas }: Profile, classes: readonly string[]): readonly ProfileRelation[] {
  const hidden = indexCatalog(catalog).hidden(classes)
  return catalog.relations.flatMap((relation) => {
    const { schema, owner, kind } = relation
    const isOthers = owner !== undefined || isSystemSchema(schema)
    if (isOthers || kind === 'index' || kind === 'composite-type') return []
    const access = accessTo(relation, hidden, schemas.includes(schema))
    return access === undefined ? [] : [describe(relation, access, hidden)]
  })
}

/** Undefined: nothing is to be given, and nothing to be kept back. */
function accessTo(
  { oid }: CatalogRelation,
  { columns, reaching }: Hidden,
  isInProfile: boolean,
): ProfileRelation['access'] | undefined {
  if (reaching.has(oid)) return 'none'
  if (isInProfile) return columns.has(oid) ? 'columns' : 'all'
  return columns.has(oid) ? 'outside' : undefined
}

function describe(relation: CatalogRelation, access: ProfileRelation['access'], hidden: Hidden): ProfileRelation {
  const own = hidden.columns.get(relation.oid)
  return {
    oid: relation.oid,
    kind: relation.kind === 'sequence' ? 'sequence' : 'table',
    access,
    columns: relation.columns.map(({ name, number }) => ({ name, number, hidden: own?.has(name) ?? false })),
  }
}
