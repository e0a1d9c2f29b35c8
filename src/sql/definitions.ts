import { walk, walkCopied } from './expressions.ts'
import { readDrop, touchDependants, touchHeirs } from './cascades.ts'
import {
  denied,
  noteChange,
  noteColumnChange,
  object,
  objectToCopy,
  objectToReplanning,
  touch,
  wall,
  type At,
} from './findings.ts'
import { SCALAR_TYPES } from './flow.ts'
import { kindOf, schemaOf, texts, touchDefined, touchObject, touchReferences } from './objects.ts'
import type { Rule } from './outcome.ts'
import { createInto, schemaOfNew } from './queries.ts'
import { findRelations, schemaResource, targetResource } from './relations.ts'
import { readMove, readOwner, readRename } from './renames.ts'
import { as, isTree, open, parts, type Body, type Node, type NodeName } from './tree.ts'

type Range = Body<'RangeVar'> | undefined
type Names = readonly Node[] | undefined

/** A definition of something in a schema, read for the expressions and relations in it. */
function make<K extends NodeName>(kind: string, nameOf: (body: Body<K>) => Names, action = 'sql.create'): Rule<K> {
  return (body, at) => {
    const name = parts(nameOf(body))
    touch(at, action, schemaOf(at, name), { args: { '/kind': kind, '/name': name.at(-1) ?? '' } })
    if (/^(domain|enum|range)$/.test(kind)) objectToSystemType(at, name.at(-1) ?? '')
    readParts(body, undefined, at)
  }
}

/** A type of such a name would refuse hidden values that a cast lets through, or have columns where none are looked for. */
function objectToSystemType(at: At, name: string): void {
  if (SCALAR_TYPES.has(name) && at.hidden.columns.size > 0)
    object(at, denied(`A type may not be called ${name}, as one of the system is.`, 'give it another name'))
}

/** Something that belongs to the whole target: roles, databases, extensions. */
function onTarget<K extends NodeName>(action: string, kind: string): Rule<K> {
  return (_, at) => touch(at, action, targetResource(at.names), { args: { '/kind': kind } })
}

/** Something of, or on, one relation. */
function onRelation<K extends NodeName>(action: string, kind: string, rangeOf: (body: Body<K>) => Range): Rule<K> {
  return (body, at) => {
    const range = rangeOf(body)
    if (range === undefined) touch(at, action, targetResource(at.names), { args: { '/kind': kind } })
    else touchDefined(at, action, range, { '/kind': kind })
    readParts(body, range, at)
  }
}

/** A new relation. */
function newRelation<K extends NodeName>(kind: string, rangeOf: (body: Body<K>) => Range): Rule<K> {
  return (body, at) => {
    const range = rangeOf(body)
    const args = { '/kind': kind, '/name': range?.relname ?? '' }
    touch(at, 'sql.create', schemaResource(at.names, schemaOfNew(range, at)), { args })
    noteChange(at, range?.relname, 'made')
    readParts(body, range, at)
  }
}

function readParts(body: unknown, own: Range, at: At): void {
  walk(body, at)
  touchReferences(isTree(body) ? Object.values(body) : [], own, at)
}

/** What the object would do cannot be read from its definition. */
function refused<K extends NodeName>(rule: Rule<K>, what: string): Rule<K> {
  return (body, at, inner) => {
    wall(
      at,
      'code',
      denied(`${what} is refused: what it would do cannot be analysed.`, 'ask a person to do it by a migration'),
    )
    return rule(body, at, inner)
  }
}

/** A role may give itself another password: the session's would then be a credential that its client knows. */
function alterRole(body: Body<'AlterRoleStmt'>, at: At): void {
  touch(at, 'sql.grant', targetResource(at.names), { args: { '/kind': 'role' } })
  const named = body.role?.roletype === 'ROLESPEC_CSTRING' && !body.role.rolename?.startsWith('sp_')
  const password = body.options?.some((option) => as('DefElem', option)?.defname === 'password') ?? false
  if (named && !password) return
  wall(
    at,
    'role',
    denied('ALTER ROLE of a password, or of the role of a session, is refused.', 'ask a person to do it'),
  )
}

function alterTable(body: Body<'AlterTableStmt'>, at: At): void {
  const kind = kindOf(body.objtype)
  const actions = new Set(['sql.alter'])
  for (const node of body.cmds ?? []) {
    const command = as('AlterTableCmd', node)
    const subtype = command?.subtype ?? ''
    if (/^AT_Drop(Column|Constraint)$/.test(subtype)) actions.add('sql.drop')
    if (/^AT_(ChangeOwner|(Enable|Disable|Force|NoForce)RowSecurity)$/.test(subtype)) actions.add('sql.grant')
    if (command?.behavior === 'DROP_CASCADE') touchDependants(at, findRelations(at.names, body.relation ?? {}))
    if (/^AT_(Add|Drop)Column/.test(subtype)) noteColumnChange(at)
    noteParent(command, body.relation, at)
  }
  for (const action of actions) {
    if (body.objtype === 'OBJECT_TYPE')
      touch(at, action, schemaResource(at.names, schemaOfNew(body.relation, at)), { args: { '/kind': kind } })
    else touchDefined(at, action, body.relation ?? {}, { '/kind': kind })
    touchHeirs(at, action, body.relation ?? {}, { '/kind': kind })
  }
  readParts(body, body.relation, at)
}

/** What is done to the parent is done to its children as well. */
function noteParent(command: Body<'AlterTableCmd'> | undefined, own: Range, at: At): void {
  if (command?.subtype === 'AT_AttachPartition') noteChange(at, own?.relname, 'shown')
  if (command?.subtype === 'AT_AddInherit') noteChange(at, as('RangeVar', command.def)?.relname, 'shown')
}

/** COMMENT and its like name a relation or any other object. */
function onNamed(
  action: string,
): (type: Body<'DropStmt'>['removeType'], range: Range, node: Node | undefined, at: At) => void {
  return (type, range, node, at) => {
    if (range !== undefined) touchDefined(at, action, range, { '/kind': kindOf(type) })
    else touchObject(at, action, type, node ?? ({} as Node), { '/kind': kindOf(type) })
  }
}

function createSchema(body: Body<'CreateSchemaStmt'>, at: At): void {
  const schema = body.schemaname ?? body.authrole?.rolename ?? ''
  touch(at, 'sql.create', schemaResource(at.names, schema), { args: { '/kind': 'schema', '/name': schema } })
  for (const element of body.schemaElts ?? []) {
    const [name, inner] = open(element) ?? []
    const rule = name === undefined ? undefined : (DEFINITIONS as Readonly<Record<string, Rule<NodeName>>>)[name]
    if (rule === undefined) object(at, denied('CREATE SCHEMA with such an element is refused.', 'create it on its own'))
    else
      rule(inner as never, at, () => {
        throw new TypeError('no statement is inside a schema element')
      })
  }
}

function grant(body: Body<'GrantStmt'>, at: At): void {
  const args = { '/kind': kindOf(body.objtype) }
  const inSchema = body.targtype === 'ACL_TARGET_ALL_IN_SCHEMA'
  for (const node of body.objects ?? [])
    touchObject(at, 'sql.grant', inSchema ? 'OBJECT_SCHEMA' : body.objtype, node, args)
  if (body.objects === undefined) touch(at, 'sql.grant', targetResource(at.names), { args })
}

function defaultPrivileges(body: Body<'AlterDefaultPrivilegesStmt'>, at: At): void {
  const schemas = (body.options ?? []).flatMap((node) => {
    const option = as('DefElem', node)
    return option?.defname === 'schemas' ? texts(as('List', option.arg)?.items) : []
  })
  const args = { '/kind': 'default privileges' }
  for (const schema of schemas) touch(at, 'sql.grant', schemaResource(at.names, schema), { args })
  if (schemas.length === 0) touch(at, 'sql.grant', targetResource(at.names), { args })
}

const altered = onNamed('sql.alter')
const commented = onNamed('sql.comment')
const regranted = onNamed('sql.grant')

/** Everything that defines, changes or removes what a database is made of, and who may use it. */
export const DEFINITIONS = {
  AlterCollationStmt: make('collation', (body) => body.collname, 'sql.alter'),
  AlterDatabaseRefreshCollStmt: onTarget('sql.alter', 'database'),
  AlterDatabaseSetStmt: refused(onTarget('sql.alter', 'database'), 'ALTER DATABASE SET'),
  AlterDatabaseStmt: onTarget('sql.alter', 'database'),
  AlterDefaultPrivilegesStmt: defaultPrivileges,
  AlterDomainStmt: (body, at, inner) => {
    if (body.subtype === 'X') make<'AlterDomainStmt'>('domain', (each) => each.typeName, 'sql.drop')(body, at, inner)
    make<'AlterDomainStmt'>('domain', (each) => each.typeName, 'sql.alter')(body, at, inner)
  },
  AlterEnumStmt: make('enum', (body) => body.typeName, 'sql.alter'),
  AlterEventTrigStmt: refused(onTarget('sql.alter', 'event trigger'), 'ALTER EVENT TRIGGER'),
  AlterExtensionContentsStmt: refused(onTarget('sql.alter', 'extension'), 'ALTER EXTENSION'),
  AlterExtensionStmt: refused(onTarget('sql.alter', 'extension'), 'ALTER EXTENSION'),
  AlterFdwStmt: refused(onTarget('sql.alter', 'foreign data wrapper'), 'ALTER FOREIGN DATA WRAPPER'),
  AlterForeignServerStmt: refused(onTarget('sql.alter', 'server'), 'ALTER SERVER'),
  AlterFunctionStmt: (body, at) =>
    touchObject(
      at,
      'sql.alter',
      'OBJECT_FUNCTION',
      { ObjectWithArgs: body.func ?? {} },
      { '/kind': kindOf(body.objtype) },
    ),
  AlterObjectDependsStmt: (body, at) => altered(body.objectType, body.relation, body.object, at),
  AlterObjectSchemaStmt: readMove,
  AlterOpFamilyStmt: refused(onTarget('sql.alter', 'operator family'), 'ALTER OPERATOR FAMILY'),
  AlterOperatorStmt: refused(onTarget('sql.alter', 'operator'), 'ALTER OPERATOR'),
  AlterOwnerStmt: readOwner,
  AlterPolicyStmt: refused(
    onRelation('sql.grant', 'policy', (body) => body.table),
    'ALTER POLICY',
  ),
  AlterPublicationStmt: refused(onTarget('sql.alter', 'publication'), 'ALTER PUBLICATION'),
  AlterRoleSetStmt: refused(onTarget('sql.grant', 'role'), 'ALTER ROLE SET'),
  AlterRoleStmt: alterRole,
  AlterSeqStmt: onRelation('sql.alter', 'sequence', (body) => body.sequence),
  AlterStatsStmt: make('statistics', (body) => body.defnames, 'sql.alter'),
  AlterSubscriptionStmt: refused(onTarget('sql.alter', 'subscription'), 'ALTER SUBSCRIPTION'),
  AlterSystemStmt: refused(onTarget('sql.alter', 'system'), 'ALTER SYSTEM'),
  AlterTSConfigurationStmt: make('text search configuration', (body) => body.cfgname, 'sql.alter'),
  AlterTSDictionaryStmt: make('text search dictionary', (body) => body.dictname, 'sql.alter'),
  AlterTableMoveAllStmt: onTarget('sql.alter', 'tablespace'),
  AlterTableSpaceOptionsStmt: onTarget('sql.alter', 'tablespace'),
  AlterTableStmt: alterTable,
  AlterTypeStmt: refused(
    make('type', (body) => body.typeName, 'sql.alter'),
    'ALTER TYPE SET',
  ),
  AlterUserMappingStmt: refused(onTarget('sql.grant', 'user mapping'), 'ALTER USER MAPPING'),
  CommentStmt: (body, at) => commented(body.objtype, undefined, body.object, at),
  CompositeTypeStmt: newRelation('type', (body) => body.typevar),
  CreateAmStmt: refused(onTarget('sql.create', 'access method'), 'CREATE ACCESS METHOD'),
  CreateCastStmt: refused(onTarget('sql.create', 'cast'), 'CREATE CAST'),
  CreateConversionStmt: refused(
    make('conversion', (body) => body.conversion_name),
    'CREATE CONVERSION',
  ),
  CreateDomainStmt: make('domain', (body) => body.domainname),
  CreateEnumStmt: make('enum', (body) => body.typeName),
  CreateEventTrigStmt: refused(onTarget('sql.create', 'event trigger'), 'CREATE EVENT TRIGGER'),
  CreateExtensionStmt: refused(onTarget('sql.create', 'extension'), 'CREATE EXTENSION'),
  CreateFdwStmt: refused(onTarget('sql.create', 'foreign data wrapper'), 'CREATE FOREIGN DATA WRAPPER'),
  CreateForeignServerStmt: refused(onTarget('sql.create', 'server'), 'CREATE SERVER'),
  CreateForeignTableStmt: refused(
    newRelation('foreign table', (body) => body.base?.relation),
    'CREATE FOREIGN TABLE',
  ),
  CreateFunctionStmt: refused((body, at) => {
    const name = parts(body.funcname)
    const args = { '/kind': body.is_procedure === true ? 'procedure' : 'function', '/name': name.at(-1) ?? '' }
    touch(at, 'sql.create', schemaOf(at, name), { args })
  }, 'CREATE FUNCTION or PROCEDURE'),
  CreateOpClassStmt: refused(onTarget('sql.create', 'operator class'), 'CREATE OPERATOR CLASS'),
  CreateOpFamilyStmt: refused(onTarget('sql.create', 'operator family'), 'CREATE OPERATOR FAMILY'),
  CreatePLangStmt: refused(onTarget('sql.create', 'language'), 'CREATE LANGUAGE'),
  CreatePolicyStmt: refused(
    onRelation('sql.grant', 'policy', (body) => body.table),
    'CREATE POLICY',
  ),
  CreatePublicationStmt: refused(onTarget('sql.create', 'publication'), 'CREATE PUBLICATION'),
  CreateRangeStmt: make('range', (body) => body.typeName),
  CreateRoleStmt: onTarget('sql.grant', 'role'),
  CreateSchemaStmt: createSchema,
  CreateSeqStmt: newRelation('sequence', (body) => body.sequence),
  CreateStatsStmt: make('statistics', (body) => body.defnames),
  CreateStmt: newRelation('table', (body) => body.relation),
  CreateSubscriptionStmt: refused(onTarget('sql.create', 'subscription'), 'CREATE SUBSCRIPTION'),
  CreateTableAsStmt: (body, at) => {
    createInto(body.into ?? {}, at, body.objtype === 'OBJECT_MATVIEW' ? 'materialized view' : 'table')
    const execute = as('ExecuteStmt', body.query)
    if (execute === undefined) {
      objectToCopy(at, at.query(body.query ?? ({} as Node), at))
      return {}
    }
    walkCopied(execute.params, at)
    objectToReplanning(execute.name, at)
    if (at.hidden.columns.size > 0)
      object(at, denied('CREATE TABLE AS EXECUTE may copy columns that are masked for you.', 'write the query itself'))
    return { uses: { does: 'execute', name: execute.name ?? '' } }
  },
  CreateTableSpaceStmt: onTarget('sql.create', 'tablespace'),
  CreateTransformStmt: refused(onTarget('sql.create', 'transform'), 'CREATE TRANSFORM'),
  CreateTrigStmt: refused(
    onRelation('sql.create', 'trigger', (body) => body.relation),
    'CREATE TRIGGER',
  ),
  CreateUserMappingStmt: refused(onTarget('sql.grant', 'user mapping'), 'CREATE USER MAPPING'),
  CreatedbStmt: onTarget('sql.create', 'database'),
  DefineStmt: (body, at, inner) => {
    const rule = make<'DefineStmt'>(kindOf(body.kind), (each) => each.defnames)
    return (body.kind === 'OBJECT_COLLATION' ? rule : refused(rule, `CREATE ${kindOf(body.kind).toUpperCase()}`))(
      body,
      at,
      inner,
    )
  },
  DropOwnedStmt: refused((_, at) => {
    touch(at, 'sql.drop', targetResource(at.names), { args: { '/kind': 'owned' } })
    noteChange(at, '*', 'moved')
  }, 'DROP OWNED'),
  DropRoleStmt: (body, at, inner) => {
    onTarget<'DropRoleStmt'>('sql.grant', 'role')(body, at, inner)
    onTarget<'DropRoleStmt'>('sql.drop', 'role')(body, at, inner)
  },
  DropStmt: readDrop,
  DropSubscriptionStmt: onTarget('sql.drop', 'subscription'),
  DropTableSpaceStmt: onTarget('sql.drop', 'tablespace'),
  DropUserMappingStmt: onTarget('sql.drop', 'user mapping'),
  DropdbStmt: onTarget('sql.drop', 'database'),
  GrantRoleStmt: onTarget('sql.grant', 'role'),
  GrantStmt: grant,
  ImportForeignSchemaStmt: refused(onTarget('sql.create', 'foreign schema'), 'IMPORT FOREIGN SCHEMA'),
  IndexStmt: onRelation('sql.create', 'index', (body) => body.relation),
  LoadStmt: refused(onTarget('sql.create', 'library'), 'LOAD'),
  ReassignOwnedStmt: onTarget('sql.grant', 'owner'),
  RenameStmt: readRename,
  RuleStmt: refused(
    (body, at) => touchDefined(at, 'sql.create', body.relation ?? {}, { '/kind': 'rule' }),
    'CREATE RULE',
  ),
  SecLabelStmt: (body, at) => regranted(body.objtype, undefined, body.object, at),
  ViewStmt: (body, at) => {
    const args = { '/kind': 'view', '/name': body.view?.relname ?? '' }
    touch(at, 'sql.create', schemaResource(at.names, schemaOfNew(body.view, at)), { args })
    noteChange(at, body.view?.relname, 'shown')
    objectToCopy(at, at.query(body.query ?? ({} as Node), at))
  },
} satisfies { readonly [K in NodeName]?: Rule<K> }
