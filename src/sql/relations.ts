import type { RangeVar } from 'libpg-query'
import type { Resource } from '../gateway/domain.ts'
import type { CatalogIndex } from './catalog-index.ts'
import type { CatalogRelation } from './catalog.ts'
import type { NameChange } from './reader.ts'
import { SYSTEM_RELATIONS } from './system-relations.ts'

/** How names are to be understood: the catalog and path of one session at one target. */
export type Names = {
  readonly target: string
  readonly catalog: CatalogIndex
  /** Undefined when not known: then every schema counts. */
  readonly searchPath: readonly string[] | undefined
  /** The session's own temporary schemas; undefined when not known: then all of them count. */
  readonly temporary?: readonly string[]
  /** What names have come to mean since the catalog was read. */
  readonly changed: ReadonlyMap<string, NameChange['now']>
}

/** What a name may mean: `relation` is absent for one the catalog does not have. */
export type Found = { readonly schema: string; readonly name: string; readonly relation?: CatalogRelation }

export function targetResource(names: Names): Resource {
  return { type: 'Target', id: names.target }
}

export function schemaResource(names: Names, schema: string): Resource {
  return { type: 'Schema', id: `${names.target}/${schema}`, parent: targetResource(names) }
}

export function tableResource(names: Names, schema: string, name: string): Resource {
  return { type: 'Table', id: `${names.target}/${schema}.${name}`, parent: schemaResource(names, schema) }
}

/** Where a new object goes whose name has no schema: the first of the path. */
export function creationSchema(names: Names): string {
  return names.searchPath?.find((schema) => schema !== '$user' && schema !== 'pg_catalog') ?? 'public'
}

/** Everything the name may mean to the target, as PostgreSQL resolves it; never empty. */
export function findRelations(names: Names, range: RangeVar): readonly Found[] {
  const name = range.relname ?? ''
  const schema = range.schemaname
  if (schema === undefined) return findUnqualified(names, name)
  if (schema === 'pg_temp') {
    const temporary = inTemporarySchemas(names, name)
    return temporary.length > 0 ? temporary : [{ schema, name }]
  }
  return [inSchema(names, schema, name) ?? { schema, name }]
}

function findUnqualified(names: Names, name: string): readonly Found[] {
  const temporary = inTemporarySchemas(names, name)
  const changed = names.changed.has(name)
  const everySchema = changed || names.searchPath === undefined
  const permanent = everySchema ? everywhere(names, name) : inPath(names, names.searchPath ?? [], name)
  const found = [...temporary, ...permanent]
  const schema = creationSchema(names)
  const made = changed && !found.some((each) => each.schema === schema)
  return made || found.length === 0 ? [...found, { schema, name }] : found
}

function inPath(names: Names, path: readonly string[], name: string): readonly Found[] {
  const order = path.includes('pg_catalog') ? path : ['pg_catalog', ...path]
  for (const schema of order) {
    const found = inSchema(names, schema, name)
    if (found !== undefined) return [found]
  }
  return []
}

function everywhere(names: Names, name: string): readonly Found[] {
  const own = names.catalog.relationsNamed(name).filter((relation) => !relation.schema.startsWith('pg_temp_'))
  const system = Object.keys(SYSTEM_RELATIONS).filter(
    (schema) => SYSTEM_RELATIONS[schema]!.has(name) && !own.some((relation) => relation.schema === schema),
  )
  return [...system.map((schema) => ({ schema, name })), ...own.map(asFound)]
}

function inSchema(names: Names, schema: string, name: string): Found | undefined {
  const relation = names.catalog.relationsNamed(name).find((each) => each.schema === schema)
  if (relation !== undefined) return asFound(relation)
  return Object.hasOwn(SYSTEM_RELATIONS, schema) && SYSTEM_RELATIONS[schema]!.has(name) ? { schema, name } : undefined
}

function inTemporarySchemas(names: Names, name: string): readonly Found[] {
  return names.catalog
    .relationsNamed(name)
    .filter(({ schema }) => schema.startsWith('pg_temp_') && (names.temporary?.includes(schema) ?? true))
    .map(asFound)
}

function asFound(relation: CatalogRelation): Found {
  return { schema: relation.schema, name: relation.name, relation }
}
