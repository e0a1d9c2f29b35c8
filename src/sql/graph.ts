import type { CatalogRelation } from './catalog.ts'

/** What hangs together in one catalog: answers are in the order they are found, without what was asked about. */
export type Graph = {
  /** Partitions and tables that inherit, at any depth. */
  heirs(relations: readonly CatalogRelation[]): readonly CatalogRelation[]
  /** Views that show one of the relations, through other views too. */
  viewsOf(relations: readonly CatalogRelation[]): readonly CatalogRelation[]
  /** Tables with a foreign key to one of the relations. */
  referencing(relations: readonly CatalogRelation[]): readonly CatalogRelation[]
  /** Every other table that TRUNCATE ... CASCADE empties. */
  truncatedWith(relations: readonly CatalogRelation[]): readonly CatalogRelation[]
}

export function newGraph(byOid: ReadonlyMap<number, CatalogRelation>): Graph {
  const views = [...byOid.values()].filter((each) => each.kind === 'view' || each.kind === 'materialized-view')
  const shown = views.flatMap((view) => view.reads.map((source) => ({ source, view: view.oid })))
  const shownBy = Map.groupBy(shown, ({ source }) => source)
  const reach = (from: readonly CatalogRelation[], next: (each: CatalogRelation) => readonly number[]) => {
    const seen = new Set(from)
    // A Set hands out what is added to it while it is walked.
    for (const each of seen) for (const oid of next(each)) if (byOid.has(oid)) seen.add(byOid.get(oid)!)
    return [...seen.difference(new Set(from))]
  }
  const children = (each: CatalogRelation): readonly number[] => each.children ?? []
  const references = (each: CatalogRelation): readonly number[] => each.referencedBy ?? []
  return {
    heirs: (relations) => reach(relations, children),
    viewsOf: (relations) => reach(relations, (each) => (shownBy.get(each.oid) ?? []).map(({ view }) => view)),
    referencing: (relations) => {
      const found = new Set(relations.flatMap(references).flatMap((oid) => byOid.get(oid) ?? []))
      return [...found.difference(new Set(relations))]
    },
    truncatedWith: (relations) => reach(relations, (each) => [...children(each), ...references(each)]),
  }
}
