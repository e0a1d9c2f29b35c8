import type { Catalog, CatalogRelation } from './catalog.ts'
import { newGraph, type Graph } from './graph.ts'
import { holdsSamples, isSystemSchema } from './system-relations.ts'

/** What an identity's hidden classes come to in one catalog. */
export type Hidden = {
  /** Relation oid -> names of its hidden columns; only relations that have one. */
  readonly columns: ReadonlyMap<number, ReadonlySet<string>>
  /** Oids of relations through which hidden columns of others may be seen. */
  readonly reaching: ReadonlySet<number>
}

/** A catalog made ready for looking up. */
export type CatalogIndex = {
  readonly version: string
  relationsNamed(name: string): readonly CatalogRelation[]
  relationsIn(schema: string): readonly CatalogRelation[]
  readonly graph: Graph
  /** What a view shows, through other views too: empty for what is no view, and for the system's own. */
  behind(relation: CatalogRelation): readonly CatalogRelation[]
  /** Bare names of functions outside pg_catalog. */
  readonly functions: ReadonlySet<string>
  /** Bare names of those that are known to be stable or immutable, whichever of that name is called. */
  readonly stableFunctions: ReadonlySet<string>
  /** Bare names of those that may return a set. */
  readonly setFunctions: ReadonlySet<string>
  readonly operators: ReadonlySet<string>
  /** Computed once for each set of classes. */
  hidden(classes: readonly string[]): Hidden
}

export const EMPTY_CATALOG: Catalog = { version: '', relations: [], functions: [], operators: [] }

export function indexCatalog(catalog: Catalog): CatalogIndex {
  const byName = Map.groupBy(catalog.relations, (relation) => relation.name)
  const byOid = new Map(catalog.relations.map((relation) => [relation.oid, relation]))
  const bySchema = Map.groupBy(catalog.relations, (relation) => relation.schema)
  const computed = new Map<string, Hidden>()
  const functions = new Set(catalog.functions.flatMap(bareNames))
  return {
    version: catalog.version,
    relationsNamed: (name) => byName.get(name) ?? [],
    relationsIn: (schema) => bySchema.get(schema) ?? [],
    graph: newGraph(byOid),
    behind: (relation) => findBehind(relation, byOid),
    functions,
    stableFunctions: new Set(catalog.stableFunctions),
    setFunctions: new Set(catalog.setFunctions ?? functions),
    operators: new Set(catalog.operators),
    hidden(classes) {
      const key = JSON.stringify(classes)
      const known = computed.get(key)
      if (known !== undefined) return known
      const made = findHidden(catalog, new Set(classes))
      computed.set(key, made)
      return made
    },
  }
}

/** `a.b.c` may be `c` of the schema `a.b`, or `b.c` of `a`: both count. */
function bareNames(name: string): readonly string[] {
  const parts = name.split('.')
  return parts.slice(1).map((_, i) => parts.slice(i + 1).join('.'))
}

function findBehind(view: CatalogRelation, byOid: ReadonlyMap<number, CatalogRelation>): readonly CatalogRelation[] {
  const seen = new Set([view])
  // A Set hands out what is added to it while it is walked.
  for (const each of seen) {
    const isView = each.kind === 'view' || each.kind === 'materialized-view'
    if (!isView || isSystemSchema(each.schema)) continue
    for (const oid of each.reads) {
      const source = byOid.get(oid)
      if (source !== undefined) seen.add(source)
    }
  }
  return [...seen].slice(1)
}

function findHidden(catalog: Catalog, classes: ReadonlySet<string>): Hidden {
  const columns = new Map<number, ReadonlySet<string>>()
  for (const relation of catalog.relations) {
    const hidden = relation.columns.filter((column) => column.classes.some((each) => classes.has(each)))
    if (hidden.length > 0) columns.set(relation.oid, new Set(hidden.map((column) => column.name)))
  }
  return { columns, reaching: columns.size === 0 ? new Set() : findReaching(catalog, columns) }
}

/**
 * Views, foreign tables, and whatever else shows what is in other relations; not the system's own views, of which each
 * is judged by name (system-relations.ts), nor views that were followed. A parent that hides the same columns as its children may be read: what comes out carries its own hidden columns. */
function findReaching(catalog: Catalog, columns: Hidden['columns']): ReadonlySet<number> {
  const byOid = new Map(catalog.relations.map((relation) => [relation.oid, relation]))
  const own = catalog.relations.filter((relation) => !isSystemSchema(relation.schema) && relation.followed !== true)
  const sources = catalog.relations.filter(
    (each) => each.kind === 'foreign-table' || holdsSamples(each.schema, each.name),
  )
  const reaching = new Set(sources.map((each) => each.oid))
  const shows = (relation: CatalogRelation, source: number): boolean => {
    if (reaching.has(source) || !byOid.has(source)) return true
    const hidden = columns.get(source)
    if (hidden === undefined) return false
    return relation.kind !== 'table' || !hidden.isSubsetOf(columns.get(relation.oid) ?? new Set())
  }
  for (let before = -1; before !== reaching.size;) {
    before = reaching.size
    for (const relation of own) {
      if (relation.reads.some((source) => shows(relation, source))) reaching.add(relation.oid)
    }
  }
  return reaching
}
