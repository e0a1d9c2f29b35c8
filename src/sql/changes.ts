import { conjuncts, fewItems } from './bounds.ts'
import type { CatalogRelation } from './catalog.ts'
import { labelOf, walk, walkCopied } from './expressions.ts'
import {
  denied,
  object,
  objectToCopy,
  relationItem,
  touchRelation,
  useHidden,
  type At,
  type Shape,
} from './findings.ts'
import { readFrom, type From } from './from.ts'
import { findRelations } from './relations.ts'
import { columnsOf, hidesSome, openScope, secrecyOf, type FromItem, type Scope } from './scope.ts'
import { readReturning } from './select.ts'
import { as, parts, type Body, type Node } from './tree.ts'
import { standInsOf } from './stand-ins.ts'

const NOTHING = { items: [], star: [] }

/** A change being read: the table it changes, and everything its expressions see. */
type Change = {
  readonly range: Body<'RangeVar'>
  readonly target: FromItem
  readonly items: readonly FromItem[]
  /** Hidden columns that a unique index compares: whether a value is taken says whether somebody has it. */
  readonly telltale: ReadonlySet<string>
  readonly at: At
  /** What `*` stands for in RETURNING. */
  readonly star: Scope['star']
}

/** `sourceFirst`: what `*` gives of the other items stands before the columns of the table ("MERGE", Outputs). */
function openChange(
  relation: Body<'RangeVar'> | undefined,
  at: At,
  from: Pick<From, 'items' | 'star'> = NOTHING,
  sourceFirst = false,
): Change {
  const range = relation ?? {}
  const found = findRelations(at.names, range)
  const target = { ...relationItem(at, range, found, []), ...(at.rewrites && standInsOf(at, found)) }
  const items = [target, ...from.items]
  const stars = sourceFirst ? [from.star, columnsOf([target])] : [columnsOf([target]), from.star]
  const star = stars.every((each) => each !== undefined) ? stars.flat() : undefined
  const telltale = new Set(found.flatMap(({ relation }) => (relation === undefined ? [] : telltales(relation, at))))
  return { range, target, items, telltale, star, at: { ...at, scope: openScope(items, at.scope) } }
}

function telltales(relation: CatalogRelation, at: At): readonly string[] {
  const hidden = at.hidden.columns.get(relation.oid)
  // What a view's tables compare is not known of the view.
  const maybe = relation.kind === 'view'
  return relation.columns.flatMap(({ name, unique }) =>
    (unique === true || maybe) && hidden?.has(name) === true ? [name] : [],
  )
}

function objectToTelltale(change: Change, names: readonly string[]): void {
  const name = names.find((each) => change.telltale.has(each))
  if (name === undefined) return
  const message = `${change.target.label}.${name} is masked for you and unique: this would tell whether a value is taken.`
  object(change.at, denied(message, `leave ${name} out`))
}

export function readInsert(body: Body<'InsertStmt'>, at: At): Shape {
  const change = openChange(body.relation, at)
  const source = body.selectStmt === undefined ? undefined : at.query(body.selectStmt, at)
  if (source !== undefined) objectToCopy(at, source)
  const unbounded = source !== undefined && !source.few()
  touchRelation(at, 'sql.insert', change.range, { unbounded })
  for (const column of body.cols ?? []) walk(as('ResTarget', column)?.indirection, change.at)
  if (body.onConflictClause !== undefined && body.onConflictClause.infer === undefined)
    objectToTelltale(change, writtenBy(body, change))
  if (body.onConflictClause !== undefined) readConflict(body.onConflictClause, change, unbounded)
  return returning(body.returningClause, change, !unbounded)
}

/** Without a list of columns, any; DEFAULT VALUES writes nothing that anybody chose. */
function writtenBy(body: Body<'InsertStmt'>, change: Change): readonly string[] {
  if (body.selectStmt === undefined) return []
  return body.cols?.flatMap((column) => as('ResTarget', column)?.name ?? []) ?? [...change.telltale]
}

/** ON CONFLICT answers whether a value exists: its target and its conditions are uses of their columns. */
function readConflict(clause: Body<'OnConflictClause'>, change: Change, unbounded: boolean): void {
  const { range, target } = change
  const excluded: FromItem = { ...target, name: 'excluded', direct: false }
  const at: At = { ...change.at, scope: openScope([target, excluded], change.at.scope?.parent) }
  for (const element of clause.infer?.indexElems ?? []) {
    const column = as('IndexElem', element)?.name
    if (column !== undefined && target.hidden.has(column)) useHidden(at, labelOf(target, column, false), 'equality')
  }
  walk([clause.infer?.indexElems, clause.infer?.whereClause, clause.whereClause], at)
  if (clause.infer?.conname !== undefined && hidesSome(target)) {
    object(
      at,
      denied('A constraint may compare columns that are masked for you.', 'name the columns: ON CONFLICT (id)'),
    )
  }
  const read = clause.targetList?.filter((node) => !isExcluded(as('ResTarget', node)))
  readAssignments(clause.targetList, { ...change, at }, read)
  if (clause.action !== 'ONCONFLICT_UPDATE') return
  touchRelation(at, 'sql.update', range, { unbounded, hasWhere: clause.whereClause !== undefined })
}

/**
 * The columns on the left are written to, which is no use of their values unless they must differ from all others. `read`:
 * those whose new values are looked into.
 */
function readAssignments(targets: readonly Node[] | undefined, change: Change, read = targets): void {
  readValues(read, change.at)
  for (const node of targets ?? []) objectToPart(as('ResTarget', node), change)
  objectToTelltale(
    change,
    (targets ?? []).flatMap((node) => as('ResTarget', node)?.name ?? []),
  )
}

/** `SET email = excluded.email`: what the statement itself would have written there. */
function isExcluded(assigned: Body<'ResTarget'> | undefined): boolean {
  const several = as('MultiAssignRef', assigned?.val)
  const values = as('RowExpr', several?.source)?.args ?? []
  const column = as('ColumnRef', several === undefined ? assigned?.val : values[(several.colno ?? 0) - 1])
  const [table, name, ...others] = parts(column?.fields)
  const plain = others.length === 0 && column?.fields?.length === 2 && assigned?.indirection === undefined
  return plain && table === 'excluded' && name === assigned?.name
}

/** To write a part of a value, an element or a field, may fail by the rest of it. */
function objectToPart(assigned: Body<'ResTarget'> | undefined, { at, target }: Change): void {
  const name = assigned?.name ?? ''
  if (assigned?.indirection !== undefined && secrecyOf(target, name) !== undefined)
    useHidden(at, labelOf(target, name, false), 'function')
}

function readValues(targets: readonly Node[] | undefined, at: At): void {
  for (const node of targets ?? []) {
    const target = as('ResTarget', node)
    walk(target?.indirection, at)
    walkCopied(target?.val, at)
  }
}

export function readUpdate(body: Body<'UpdateStmt'>, at: At): Shape {
  const { change, few } = readFiltered(body.relation, body.fromClause, body.whereClause, at)
  touchRelation(at, 'sql.update', change.range, { unbounded: !few, hasWhere: body.whereClause !== undefined })
  readAssignments(body.targetList, change)
  return returning(body.returningClause, change, few)
}

export function readDelete(body: Body<'DeleteStmt'>, at: At): Shape {
  const { change, few } = readFiltered(body.relation, body.usingClause, body.whereClause, at)
  touchRelation(at, 'sql.delete', change.range, { unbounded: !few, hasWhere: body.whereClause !== undefined })
  return returning(body.returningClause, change, few)
}

type Filtered = { readonly change: Change; readonly few: boolean }

function readFiltered(
  relation: Body<'RangeVar'> | undefined,
  list: readonly Node[] | undefined,
  where: Node | undefined,
  at: At,
): Filtered {
  const from = readOthers(list ?? [], relation, where !== undefined, at)
  const change = openChange(relation, at, from)
  walk([where], change.at)
  const conditions = [...conjuncts(where), ...from.conditions.flatMap(conjuncts)]
  return { change, few: fewItems(change.at, change.items, conditions).has(change.target) }
}

function readOthers(list: readonly Node[], relation: Body<'RangeVar'> | undefined, hasWhere: boolean, at: At): From {
  return readFrom(list, at, { hasWhere, args: {} }, [openChange(relation, at).target])
}

/** MERGE is the sum of its branches, each with the conditions that hold in it. */
export function readMerge(body: Body<'MergeStmt'>, at: At): Shape {
  const list = body.sourceRelation === undefined ? [] : [body.sourceRelation]
  const from = readOthers(list, body.relation, true, at)
  const change = openChange(body.relation, at, from, true)
  walk([body.joinCondition], change.at)
  touchRelation(at, 'sql.select', change.range, { hasWhere: true })
  for (const node of body.mergeWhenClauses ?? []) {
    const branch = as('MergeWhenClause', node)
    if (branch !== undefined) readBranch(branch, body.joinCondition, change, from)
  }
  return returning(body.returningClause, change, false)
}

function readBranch(branch: Body<'MergeWhenClause'>, join: Node | undefined, change: Change, from: From): void {
  walk(branch.condition, change.at)
  walkCopied(branch.values, change.at)
  if (branch.commandType === 'CMD_UPDATE') readAssignments(branch.targetList, change)
  else readValues(branch.targetList, change.at)
  const own = [...conjuncts(branch.condition), ...from.conditions.flatMap(conjuncts)]
  const matched = branch.matchKind === 'MERGE_WHEN_MATCHED'
  const few = fewItems(change.at, change.items, matched ? [...own, ...conjuncts(join)] : own)
  const facts = { hasWhere: true, unbounded: !few.has(change.target) }
  switch (branch.commandType) {
    case 'CMD_UPDATE':
      touchRelation(change.at, 'sql.update', change.range, facts)
      break
    case 'CMD_DELETE':
      touchRelation(change.at, 'sql.delete', change.range, facts)
      break
    case 'CMD_INSERT':
      touchRelation(change.at, 'sql.insert', change.range, { unbounded: !from.items.every((item) => few.has(item)) })
      break
    default:
  }
}

function returning(clause: Body<'ReturningClause'> | undefined, change: Change, few: boolean): Shape {
  if (clause === undefined) return { columns: [], hides: [], few: () => few, correlated: false }
  touchRelation(change.at, 'sql.select', change.range, { hasWhere: true })
  const at = { ...change.at, scope: change.at.scope?.parent }
  return { ...readReturning(clause, change, at), few: () => few, correlated: false }
}
