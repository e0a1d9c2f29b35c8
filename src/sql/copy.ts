import { walk } from './expressions.ts'
import { denied, object, touch, touchRelation, wall, type At } from './findings.ts'
import { hidesAny } from './flow.ts'
import type { Outcome } from './outcome.ts'
import type { CopyForm } from './reader.ts'
import { targetResource, type Found } from './relations.ts'
import { as, parts, textOf, type Body, type Node } from './tree.ts'

const elsewhere = denied('COPY with a file or a program of the server is refused.', 'use STDIN or STDOUT')

/** COPY reads or writes one relation, or reads what a query gives; its rows go over the connection and nowhere else. */
export function readCopy(body: Body<'CopyStmt'>, at: At): Outcome {
  const isElsewhere = body.is_program === true || body.filename !== undefined
  if (isElsewhere) wall(at, body.is_program === true ? 'program' : 'file', elsewhere)
  if (body.relation !== undefined) readRelation(body, body.relation, at)
  if (body.query !== undefined) readCopied(body.query, at)
  walk(body.whereClause, at)
  return isElsewhere ? {} : { copy: formOf(body, at) }
}

function readRelation(body: Body<'CopyStmt'>, range: Body<'RangeVar'>, at: At): void {
  if (body.is_from === true) {
    touchRelation(at, 'sql.insert', range, { unbounded: true })
    return
  }
  for (const found of touchRelation(at, 'sql.select', range)) objectToHidden(found, parts(body.attlist), at)
}

/** Rows of COPY do not say where their values come from, so that none of them could be masked. */
function objectToHidden({ schema, name, relation }: Found, named: readonly string[], at: At): void {
  const hidden = relation && at.hidden.columns.get(relation.oid)
  if (hidden === undefined) return
  const all = relation!.columns.map((column) => column.name)
  const shown = (named.length > 0 ? named : all).find((column) => hidden.has(column))
  if (shown === undefined) return
  const visible = all.filter((column) => !hidden.has(column))
  const rest = `COPY ${[schema, name].map(quoted).join('.')} (${visible.map(quoted).join(', ')}) TO STDOUT`
  const hint = visible.length > 0 ? `name the other columns, ${rest}, or use SELECT` : 'use SELECT'
  object(
    at,
    denied(`${name}.${shown} is masked for you, and COPY has no masks.`, `${hint}, where it comes back masked`),
  )
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** What comes out of the query has no origin either. */
function readCopied(query: Node, at: At): void {
  const { hides } = at.query(query, at)
  if (hidesAny(hides)) {
    const hint = 'leave those columns out, or use SELECT, where they come back masked'
    object(at, denied('The query reads columns that are masked for you, and COPY has no masks.', hint))
  }
  const reads = at.findings.touches.some((each) => each.action !== 'sql.call')
  if (!reads) touch(at, 'sql.select', targetResource(at.names))
}

/** The options that say how rows are written; PostgreSQL itself refuses those that are given twice or do not fit. */
function formOf(body: Body<'CopyStmt'>, at: At): CopyForm {
  const options = new Map((body.options ?? []).flatMap((node) => optionOf(as('DefElem', node), at)))
  const format = options.get('format') ?? 'text'
  if (format !== 'text' && format !== 'csv' && format !== 'binary') wall(at, 'encoding', unknownFormat(format))
  const encoding = options.get('encoding')
  if (encoding !== undefined && body.is_from !== true && !isUtf8(encoding))
    wall(
      at,
      'encoding',
      denied(`COPY in ${encoding} is refused: what leaves is to be read as UTF8.`, 'leave ENCODING out'),
    )
  const quote = options.get('quote') ?? '"'
  return {
    direction: body.is_from === true ? 'in' : 'out',
    format: format as CopyForm['format'],
    delimiter: options.get('delimiter') ?? (format === 'csv' ? ',' : '\t'),
    quote,
    escape: options.get('escape') ?? quote,
  }
}

function unknownFormat(format: string): ReturnType<typeof denied> {
  return denied(`COPY in the format ${format} is not known.`, 'use text, csv or binary')
}

const READ: ReadonlySet<string> = new Set(['format', 'delimiter', 'quote', 'escape', 'encoding'])

function optionOf(option: Body<'DefElem'> | undefined, at: At): readonly (readonly [string, string])[] {
  const name = option?.defname ?? ''
  if (!READ.has(name)) return []
  const value = textOf(option?.arg) ?? as('Integer', option?.arg)?.ival?.toString() ?? as('Float', option?.arg)?.fval
  if (value === undefined)
    wall(at, 'encoding', denied(`The option ${name} of COPY cannot be read.`, 'write it as a string'))
  return value === undefined ? [] : [[name, value]]
}

/** As PostgreSQL compares names of encodings: letters and digits only, in any case. */
function isUtf8(encoding: string): boolean {
  return /^(utf8|unicode)$/.test(encoding.toLowerCase().replaceAll(/[^a-z0-9]/g, ''))
}
