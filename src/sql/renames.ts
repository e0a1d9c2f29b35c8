import { touchHeirs } from './cascades.ts'
import { denied, noteChange, noteColumnChange, object, touch, type At } from './findings.ts'
import { kindOf, nameOf, RELATIONS, touchDefined, touchObject, type ObjectType } from './objects.ts'
import { schemaResource, tableResource } from './relations.ts'
import type { Body, Node } from './tree.ts'

type Range = Body<'RangeVar'> | undefined

/** What may decide which data a name or an expression stands for, without being a relation. */
const MEANINGFUL: ReadonlySet<string> = new Set<ObjectType>([
  'OBJECT_AGGREGATE',
  'OBJECT_CAST',
  'OBJECT_COLLATION',
  'OBJECT_CONVERSION',
  'OBJECT_DOMAIN',
  'OBJECT_EXTENSION',
  'OBJECT_FDW',
  'OBJECT_FOREIGN_SERVER',
  'OBJECT_FUNCTION',
  'OBJECT_LANGUAGE',
  'OBJECT_OPCLASS',
  'OBJECT_OPERATOR',
  'OBJECT_OPFAMILY',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_TSCONFIGURATION',
  'OBJECT_TSDICTIONARY',
  'OBJECT_TSPARSER',
  'OBJECT_TSTEMPLATE',
  'OBJECT_TYPE',
])

/** ALTER ... RENAME TO. A schema carries every relation in it along. */
export function readRename(body: Body<'RenameStmt'>, at: At): void {
  if (body.renameType === 'OBJECT_SCHEMA') return renameSchema(body.subname ?? '', at)
  touchNamed(at, 'sql.alter', body.renameType, body.relation, body.object)
  if (body.relation !== undefined) touchHeirs(at, 'sql.alter', body.relation, { '/kind': kindOf(body.renameType) })
  noteRoutine(at, body.object, body.newname)
  if (/^OBJECT_(COLUMN|ATTRIBUTE)$/.test(body.renameType ?? '')) noteColumnChange(at)
  if (!RELATIONS.has(body.renameType ?? '')) return
  noteChange(at, body.relation?.relname, 'moved')
  noteChange(at, body.newname, 'moved')
}

function renameSchema(schema: string, at: At): void {
  const args = { '/kind': 'schema' }
  touch(at, 'sql.alter', schemaResource(at.names, schema), { args })
  for (const each of at.names.catalog.relationsIn(schema)) {
    if (each.kind !== 'index' && each.kind !== 'composite-type')
      touch(at, 'sql.alter', tableResource(at.names, schema, each.name), { args })
  }
  noteChange(at, '*', 'moved')
  if (at.hidden.columns.size > 0) objectToMeaning(at, 'SCHEMA')
}

/** ALTER ... SET SCHEMA. */
export function readMove(body: Body<'AlterObjectSchemaStmt'>, at: At): void {
  const args = { '/kind': kindOf(body.objectType) }
  touchNamed(at, 'sql.alter', body.objectType, body.relation, body.object)
  touch(at, 'sql.create', schemaResource(at.names, body.newschema ?? ''), { args })
  noteRoutine(at, body.object, undefined)
  if (body.objectType === 'OBJECT_EXTENSION') noteChange(at, '*', 'moved')
  if (body.relation !== undefined) noteChange(at, body.relation.relname, 'moved')
}

/** ALTER ... OWNER TO, of what is no relation. */
export function readOwner(body: Body<'AlterOwnerStmt'>, at: At): void {
  touchNamed(at, 'sql.grant', body.objectType, body.relation, body.object)
}

function touchNamed(at: At, action: string, type: ObjectType | undefined, range: Range, node: Node | undefined): void {
  const args = { '/kind': kindOf(type) }
  if (range !== undefined) touchDefined(at, action, range, args)
  else touchObject(at, action, type, node ?? ({} as Node), args)
  if (at.hidden.columns.size > 0 && MEANINGFUL.has(type ?? '')) objectToMeaning(at, kindOf(type).toUpperCase())
}

/** A routine or operator that gets a name, or comes into sight by it. */
function noteRoutine(at: At, node: Node | undefined, name: string | undefined): void {
  if (node === undefined || !('ObjectWithArgs' in node)) return
  noteChange(at, `${name ?? nameOf(node).at(-1) ?? ''}()`, 'moved')
}

function objectToMeaning(at: At, kind: string): void {
  const message = `ALTER ${kind} may give another meaning to names that protect columns masked for you.`
  object(at, denied(message, 'leave it as it is'))
}
