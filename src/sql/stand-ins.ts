import type { RangeVar } from 'libpg-query'
import { denied, object, type At } from './findings.ts'
import type { Found } from './relations.ts'
import { quotedName, standInList } from './rewrites.ts'
import type { FromItem } from './scope.ts'
import { parts, type Body } from './tree.ts'

/**
 * Behind the wall the session's role has no right to read hidden columns: a relation of which one is read is rewritten to
 * a sub-query that has stand-ins for them. What needs no hidden column stays as it is.
 */

/** What stands for a relation in a FROM list. Nothing, when it cannot be said: then no hidden column of it can be read. */
export function readBehind(
  at: At,
  range: RangeVar,
  found: readonly Found[],
  facts: { readonly table?: boolean; readonly sampled?: boolean },
): Pick<FromItem, 'behind'> {
  const relation = found.length === 1 ? found[0]!.relation : undefined
  const list = relation && standInList(relation, at.hidden.columns.get(relation.oid) ?? new Set())
  if (list === undefined || facts.sampled === true) return { behind: [] }
  const names = [range.catalogname, range.schemaname, range.relname].filter((name) => name !== undefined)
  const named = range.alias !== undefined
  const { table = false } = facts
  const place = { at: range.location ?? 0, names }
  return { behind: [{ does: 'relation', ...place, list, only: range.inh !== true, table, named, refs: [] }] }
}

/** What stands for the hidden columns of a table that is written to. */
export function standInsOf(at: At, found: readonly Found[]): Pick<FromItem, 'standIns'> {
  const standIns = new Map<string, string | undefined>()
  for (const { relation } of found) {
    const hidden = relation === undefined ? undefined : at.hidden.columns.get(relation.oid)
    for (const { name, standIn } of relation?.columns ?? []) if (hidden?.has(name)) standIns.set(name, standIn)
  }
  return { standIns }
}

/** A reference that names the schema: what stands for the relation has only its name. */
export function noteQualified(item: FromItem, column: Body<'ColumnRef'>): void {
  const names = (column.fields ?? []).map((field) => parts(field)[0] ?? '*')
  if (names.length < 3) return
  for (const each of item.behind ?? [])
    if (each.does === 'relation') each.refs.push({ at: column.location ?? 0, names })
}

/** A hidden column, or (no `column`) the whole row of an item, is read; `output`: as an output of this name. */
export function readStandIn(at: At, item: FromItem, column: Body<'ColumnRef'> | undefined, output?: string): void {
  if (at.rewrites === undefined) return
  if (item.standIns !== undefined) return replace(at, item, column, output)
  if (item.behind === undefined) return
  if (item.behind.length === 0) object(at, notHere(item))
  for (const each of item.behind) at.rewrites.add(each)
}

function replace(at: At, item: FromItem, column: Body<'ColumnRef'> | undefined, output: string | undefined): void {
  const names = parts(column?.fields)
  const standIn = item.standIns?.get(names.at(-1) ?? '')
  if (column === undefined || standIn === undefined) return object(at, notHere(item))
  const by = `(${standIn})${output === undefined ? '' : ` AS ${quotedName(output)}`}`
  at.rewrites?.add({ does: 'reference', at: column.location ?? 0, names, star: false, by })
}

/** `*` in RETURNING: the columns of the table, one by one. In a select list, that of what stands for the relation. */
export function readStarStandIns(at: At, items: readonly FromItem[], column: Body<'ColumnRef'>): void {
  if (at.rewrites === undefined) return
  const hiding = items.filter((item) => item.hidden.size > 0)
  const target = hiding.find((item) => item.standIns !== undefined)
  if (target === undefined) for (const item of hiding) readStandIn(at, item, undefined)
  else if (items.length > 1 || !isWritable(target)) object(at, notHere(target))
  else expand(at, target, column)
}

/** Its columns can be written out, hidden ones as their stand-ins. */
function isWritable({ columns, hidden, standIns }: FromItem): boolean {
  return columns !== undefined && [...hidden.keys()].every((name) => standIns?.get(name) !== undefined)
}

function expand(at: At, target: FromItem, column: Body<'ColumnRef'>): void {
  const names = parts(column.fields)
  const prefix = quotedName(names.at(-1) ?? target.name)
  const list = target.columns!.map((name) => {
    const own = `${prefix}.${quotedName(name)}`
    return target.hidden.has(name) ? `${target.standIns!.get(name)!} AS ${quotedName(name)}` : own
  })
  at.rewrites!.add({ does: 'reference', at: column.location ?? 0, names, star: true, by: list.join(', ') })
}

function notHere(item: FromItem): ReturnType<typeof denied> {
  const hint = 'name the columns that you need, in a plain FROM'
  return denied(`Masked columns of ${item.label} cannot be read in this way.`, hint)
}
