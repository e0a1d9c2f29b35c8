import type { RangeVar } from 'libpg-query'
import type { CatalogRelation } from './catalog.ts'
import { denied, noteChange, noteColumnChange, object, touch, touchRelation, type At } from './findings.ts'
import { kindOf, nameOf, rangeOf, RELATIONS, touchObject, type ObjectArgs } from './objects.ts'
import { findRelations, tableResource, targetResource, type Found } from './relations.ts'
import { as, parts, type Body, type Node } from './tree.ts'

/** TRUNCATE empties children as well, unless ONLY is said, and with CASCADE every table that refers to it. */
export function readTruncate(body: Body<'TruncateStmt'>, at: At): void {
  const facts = { unbounded: true }
  for (const node of body.relations ?? []) {
    const range = as('RangeVar', node) ?? {}
    const own = relationsOf(touchRelation(at, 'sql.truncate', range, facts))
    const { graph } = at.names.catalog
    const others = range.inh === true ? graph.heirs(own) : []
    const cascade = body.behavior === 'DROP_CASCADE' ? graph.truncatedWith([...own, ...others]) : []
    touchEach(at, 'sql.truncate', [...others, ...cascade], facts)
  }
}

/** DROP, with everything known that goes with what is dropped. */
export function readDrop(body: Body<'DropStmt'>, at: At): void {
  const cascade = body.behavior === 'DROP_CASCADE'
  const args = { '/kind': kindOf(body.removeType), ...(cascade && { '/cascade': 'true' }) }
  // A column of any table may have what is dropped as its type.
  if (cascade) noteColumnChange(at)
  for (const node of body.objects ?? []) {
    touchObject(at, 'sql.drop', body.removeType, node, args)
    if (RELATIONS.has(body.removeType ?? '')) dropRelation(node, cascade, args, at)
    else if (body.removeType === 'OBJECT_SCHEMA') dropSchema(parts(node).at(-1) ?? '', cascade, args, at)
    else if (cascade) dropUnknown(args, at)
  }
}

function dropRelation(node: Node, cascade: boolean, args: ObjectArgs, at: At): void {
  const range = rangeOf(nameOf(node))
  const own = findRelations(at.names, range)
  const heirs = at.names.catalog.graph.heirs(relationsOf(own))
  touchEach(at, 'sql.drop', heirs, { args })
  if (cascade) touchDependants(at, [...own, ...heirs.map((relation) => ({ ...relation, relation }))])
  noteChange(at, range.relname, 'gone')
}

function dropSchema(schema: string, cascade: boolean, args: ObjectArgs, at: At): void {
  if (!cascade) return
  const own = at.names.catalog.relationsIn(schema).filter(isNamed)
  const all = [...own, ...at.names.catalog.graph.heirs(own)]
  touchEach(at, 'sql.drop', all, { args })
  touchDependants(
    at,
    all.map((relation) => ({ ...relation, relation })),
  )
}

/** A type or a function may have any column, view or index depend on it. */
function dropUnknown(args: ObjectArgs, at: At): void {
  touch(at, 'sql.drop', targetResource(at.names), { args })
  if (at.hidden.columns.size > 0)
    object(at, denied('DROP ... CASCADE of this may drop columns that are masked for you.', 'drop it without CASCADE'))
}

/** CASCADE drops the views that show a relation, and the foreign keys of the tables that refer to one. */
export function touchDependants(at: At, found: readonly Found[]): void {
  const { graph } = at.names.catalog
  const relations = relationsOf(found)
  touchEach(at, 'sql.drop', graph.viewsOf(relations), { args: { '/kind': 'view', '/cascade': 'true' } })
  touchEach(at, 'sql.alter', graph.referencing(relations), { args: { '/kind': 'constraint', '/cascade': 'true' } })
}

/** Unless ONLY is said, what is done to a table's definition is done to its partitions and the tables that inherit it. */
export function touchHeirs(at: At, action: string, range: RangeVar, args: ObjectArgs): void {
  if (range.inh !== true) return
  touchEach(at, action, at.names.catalog.graph.heirs(relationsOf(findRelations(at.names, range))), { args })
}

type EachFacts = { readonly unbounded?: boolean; readonly args?: ObjectArgs }

/** What is done to these shows nothing of them. */
function touchEach(at: At, action: string, relations: readonly CatalogRelation[], facts: EachFacts): void {
  for (const { oid, schema, name } of relations) {
    touch(at, action, tableResource(at.names, schema, name), facts)
    if (at.hidden.columns.has(oid)) at.findings.touchesHidden = true
    if (action === 'sql.drop') noteChange(at, name, 'gone')
  }
}

function relationsOf(found: readonly Found[]): readonly CatalogRelation[] {
  return found.flatMap((each) => each.relation ?? [])
}

function isNamed(relation: CatalogRelation): boolean {
  return relation.kind !== 'index' && relation.kind !== 'composite-type'
}
