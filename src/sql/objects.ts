import type { Resource } from '../gateway/domain.ts'
import { denied, object, touch, touchRelation, type At } from './findings.ts'
import { creationSchema, schemaResource, targetResource } from './relations.ts'
import { as, isTree, parts, textOf, type Body, type Node } from './tree.ts'

export type ObjectType = NonNullable<Body<'DropStmt'>['removeType']>

export const RELATIONS: ReadonlySet<string> = new Set<ObjectType>([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_SEQUENCE',
  'OBJECT_INDEX',
])

/** Named by their relation and a name of their own. */
const PARTS_OF_RELATIONS: ReadonlySet<string> = new Set<ObjectType>([
  'OBJECT_COLUMN',
  'OBJECT_TRIGGER',
  'OBJECT_RULE',
  'OBJECT_POLICY',
  'OBJECT_TABCONSTRAINT',
])

const IN_SCHEMAS: ReadonlySet<string> = new Set<ObjectType>([
  'OBJECT_AGGREGATE',
  'OBJECT_COLLATION',
  'OBJECT_CONVERSION',
  'OBJECT_DOMAIN',
  'OBJECT_FUNCTION',
  'OBJECT_OPERATOR',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_STATISTIC_EXT',
  'OBJECT_TSCONFIGURATION',
  'OBJECT_TSDICTIONARY',
  'OBJECT_TSPARSER',
  'OBJECT_TSTEMPLATE',
  'OBJECT_TYPE',
])

export type ObjectArgs = Readonly<Record<string, string>>

/** `OBJECT_MATVIEW` as a policy sees it: `matview`. */
export function kindOf(type: string | undefined): string {
  return (type ?? '')
    .replace(/^OBJECT_/, '')
    .toLowerCase()
    .replaceAll('_', ' ')
}

/** A touch on a named object of any kind: its table, its schema, or the whole target. */
export function touchObject(at: At, action: string, type: ObjectType | undefined, node: Node, args: ObjectArgs): void {
  const name = nameOf(node)
  if (RELATIONS.has(type ?? '')) touchDefined(at, action, as('RangeVar', node) ?? rangeOf(name), args)
  else if (PARTS_OF_RELATIONS.has(type ?? '')) touchDefined(at, action, rangeOf(name.slice(0, -1)), args)
  else touch(at, action, placeOf(at, type, name), { args })
}

function placeOf(at: At, type: ObjectType | undefined, name: readonly string[]): Resource {
  if (type === 'OBJECT_SCHEMA') return schemaResource(at.names, name.at(-1) ?? '')
  return IN_SCHEMAS.has(type ?? '') ? schemaOf(at, name) : targetResource(at.names)
}

/** The schema of an object's name. */
export function schemaOf(at: At, name: readonly string[]): Resource {
  return schemaResource(at.names, name.at(-2) ?? creationSchema(at.names))
}

/** The dotted name of an object that is no relation. */
export function nameOf(node: Node): readonly string[] {
  const routine = as('ObjectWithArgs', node)?.objname
  const type = as('TypeName', node)?.names
  return parts(routine ?? type ?? node)
}

/** A relation by its dotted name. */
export function rangeOf(name: readonly string[]): Body<'RangeVar'> {
  const [relname, schemaname] = [name.at(-1) ?? '', name.at(-2)]
  return { relname, inh: true, ...(schemaname !== undefined && { schemaname }) }
}

/**
 * A touch that changes what a relation is, or refers to it from another definition. A new index, column, constraint or
 * name would show hidden columns elsewhere: refused while the relation has any. Dropping it shows nothing.
 */
export function touchDefined(at: At, action: string, range: Body<'RangeVar'>, args: ObjectArgs = {}): void {
  const found = touchRelation(at, action, range, { args })
  const hides = found.some((each) => each.relation !== undefined && at.hidden.columns.has(each.relation.oid))
  if (hides && action !== 'sql.drop' && action !== 'sql.comment' && action !== 'sql.maintain') {
    object(
      at,
      denied(
        `${range.relname} has columns that are masked for you: its definition may not be changed or used.`,
        'leave it as it is',
      ),
    )
  }
}

/** Touches every relation that a definition refers to (parents, foreign keys, LIKE), except `own`. */
export function touchReferences(value: unknown, own: unknown, at: At): void {
  if (Array.isArray(value)) for (const each of value) touchReferences(each, own, at)
  if (!isTree(value) || value === own || 'SelectStmt' in value) return
  if (typeof value.relname === 'string') touchDefined(at, 'sql.select', value)
  else for (const each of Object.values(value)) touchReferences(each, own, at)
}

/** The text of each String in a list: names of schemas, roles. */
export function texts(nodes: readonly Node[] | undefined): readonly string[] {
  return (nodes ?? []).flatMap((node) => textOf(node) ?? [])
}
