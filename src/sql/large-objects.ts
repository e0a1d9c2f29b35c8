import { denied, object, touch, wall, type At } from './findings.ts'
import { targetResource } from './relations.ts'
import { as, constantText, type Node } from './tree.ts'

/** What a function does with large objects ("Large Objects", Server-Side Functions). `open`: as its mode says. */
type Use = {
  readonly does: 'read' | 'write' | 'open'
  /** The place of the argument that is the object's OID; absent: it is behind a descriptor, or made anew. */
  readonly object?: number
  /** It gives away what is in the object, or how much that is. */
  readonly shows?: true
  readonly creates?: true
  /** It reads or writes a file of the server. */
  readonly file?: true
}

const USES: ReadonlyMap<string, Use> = new Map<string, Use>([
  ['lo_creat', { does: 'write', creates: true }],
  ['lo_create', { does: 'write', object: 0, creates: true }],
  ['lo_from_bytea', { does: 'write', object: 0, creates: true }],
  ['lo_open', { does: 'open', object: 0 }],
  ['lo_close', { does: 'read' }],
  ['lo_get', { does: 'read', object: 0, shows: true }],
  ['lo_put', { does: 'write', object: 0 }],
  ['lo_lseek', { does: 'read', shows: true }],
  ['lo_lseek64', { does: 'read', shows: true }],
  ['lo_tell', { does: 'read' }],
  ['lo_tell64', { does: 'read' }],
  ['lo_truncate', { does: 'write' }],
  ['lo_truncate64', { does: 'write' }],
  ['lo_unlink', { does: 'write', object: 0 }],
  ['loread', { does: 'read', shows: true }],
  ['lowrite', { does: 'write' }],
  ['lo_import', { does: 'write', creates: true, file: true }],
  ['lo_export', { does: 'read', object: 0, shows: true, file: true }],
])

/** libpq-fs.h: what is opened with it may be read as well. */
const INV_WRITE = 0x20000

/** True for the built-in functions of large objects. */
export function usesLargeObjects(name: string): boolean {
  return USES.has(name)
}

/** True when the function makes a large object. */
export function createsLargeObject(name: string): boolean {
  return USES.get(name)?.creates === true
}

/** True when nobody may call it that anything is hidden from: what is in a large object came from anywhere. */
export function showsLargeObject(name: string): boolean {
  return USES.get(name)?.shows === true
}

export type LargeObjectAction = 'sql.lo_read' | 'sql.lo_write'

/** What a call of the function is decided as. `mode`: of lo_open, undefined when it cannot be told. */
export function largeObjectActions(name: string, mode: number | undefined): readonly LargeObjectAction[] {
  const does = USES.get(name)?.does
  if (does === 'read') return ['sql.lo_read']
  if (does === 'open')
    return mode === undefined || (mode & INV_WRITE) !== 0 ? ['sql.lo_read', 'sql.lo_write'] : ['sql.lo_read']
  return ['sql.lo_write']
}

/** The place of the argument that is an object's OID. */
export function objectPlace(name: string): number | undefined {
  return USES.get(name)?.object
}

/** A call in SQL. Where the object is a constant or a parameter it is one; anything else may be all there are. */
export function useLargeObject(at: At, name: string, given: readonly Node[]): void {
  const place = objectPlace(name)
  const of = place === undefined ? undefined : given[place]
  const oid = oidOf(of)
  const unbounded = place !== undefined && oid === undefined && as('ParamRef', of) === undefined
  const args = { '/function': name, ...(oid !== undefined && { '/oid': oid }) }
  for (const action of largeObjectActions(name, modeOf(given[1])))
    touch(at, action, targetResource(at.names), { unbounded, args })
  const use = USES.get(name)!
  if (use.file) wall(at, 'file', denied(`${name} uses a file of the server.`, 'use \\lo_import or \\lo_export of psql'))
  if (!use.shows || at.hidden.columns.size === 0) return
  at.findings.touchesHidden = true
  object(at, hiddenInLargeObjects(name))
}

/** Why such a function is refused where anything is hidden. */
export function hiddenInLargeObjects(name: string): ReturnType<typeof denied> {
  return denied(`${name} may show values that are masked for you: a large object can hold anything.`, 'read tables')
}

/** PostgreSQL reads others too (`'007'`, -1 for the greatest): a rule could be about this spelling only. */
function oidOf(node: Node | undefined): string | undefined {
  const text = constantText(node)
  return text !== undefined && /^(0|[1-9]\d{0,9})$/.test(text) ? text : undefined
}

function modeOf(node: Node | undefined): number | undefined {
  const text = constantText(node) ?? ''
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined
}
