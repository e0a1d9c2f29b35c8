import type { EntityUidJson, PolicyJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs'
import type { Identity } from '../gateway/domain.ts'
import { identityId } from '../gateway/identity.ts'

/** Whom or what the head of a policy names: a type, an entity with all that is in it (`exact`: it alone), both, or neither. */
export type Scope = { readonly type?: string; readonly entity?: TypeAndId; readonly exact: boolean }

/** Of each action that can be asked for: itself and every group it is in, and the types of what it can be done to. */
export type Actions = ReadonlyMap<string, { readonly above: ReadonlySet<string>; readonly on: ReadonlySet<string> }>

export function scopeOf(constraint: PolicyJson['principal'] | PolicyJson['resource']): Scope {
  if (constraint.op === 'All') return { exact: false }
  if (constraint.op !== 'is') return { ...entityIn(constraint), exact: constraint.op === '==' }
  return { type: constraint.entity_type, ...(constraint.in && entityIn(constraint.in)), exact: false }
}

/** Templates are not supported: there is no slot. */
function entityIn(named: { entity: EntityUidJson } | { slot: string }): { readonly entity?: TypeAndId } {
  return 'entity' in named ? { entity: plain(named.entity) } : {}
}

function plain(uid: EntityUidJson): TypeAndId {
  return '__entity' in uid ? uid.__entity : uid
}

/** The actions that can be asked for and that the head of a policy holds for. */
export function coveredActions({ action, resource }: PolicyJson, actions: Actions): ReadonlySet<string> {
  const type = typeOf(scopeOf(resource))
  const names = namedBy(action)
  const isNamed = (each: string, above: ReadonlySet<string>): boolean =>
    action.op === '==' ? names.includes(each) : names.some((name) => above.has(name))
  const covered = [...actions].flatMap(([each, { above, on }]) => {
    const fits = type === undefined || on.has(type)
    return fits && (action.op === 'All' || isNamed(each, above)) ? [each] : []
  })
  return new Set(covered)
}

/** What the head of a policy names as its actions, groups too. */
export function namedBy(action: PolicyJson['action']): readonly string[] {
  if (action.op === 'All') return []
  const named = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : []
  return named.map((uid) => plain(uid).id)
}

/** The one type that it can be about, where it says so. */
function typeOf({ type, entity, exact }: Scope): string | undefined {
  return type ?? (exact ? entity?.type : undefined)
}

/** Whether the principal's part of a head holds for an identity. */
export function isAbout({ type, entity, exact }: Scope, identity: Identity): boolean {
  if (type !== undefined && type !== identity.kind) return false
  if (entity === undefined) return true
  if (entity.type === 'Group') return !exact && identity.groups.includes(entity.id)
  return entity.type === identity.kind && entity.id === identityId(identity)
}

/** Whether everything of the target `target` that `inner` holds for is something that `outer` holds for. */
export function covers(outer: Scope, inner: Scope, target: string): boolean {
  const [wide, narrow] = [outer, inner].map((scope) => within(scope, target)) as [Within, Within]
  if (outer.type !== undefined && outer.type !== typeOf(inner)) return false
  return wide.exact ? narrow.exact && isSame(wide.entity, narrow.entity) : isBelow(narrow.entity, wide.entity)
}

type Within = { readonly entity: TypeAndId; readonly exact: boolean }

/** Of one target alone: what names nothing, or a label that the target has, means the target. */
function within({ entity, exact }: Scope, target: string): Within {
  const whole = entity === undefined || entity.type === 'Label'
  return { entity: whole ? { type: 'Target', id: target } : entity, exact }
}

function isSame(a: TypeAndId, b: TypeAndId): boolean {
  return a.type === b.type && a.id === b.id
}

/** In doubt (a name with a dot in it, a data class of all targets) it is not. */
function isBelow(low: TypeAndId, high: TypeAndId): boolean {
  if (isSame(low, high)) return true
  const rest = (joint: string): string | undefined =>
    low.id.startsWith(high.id + joint) ? low.id.slice(high.id.length + joint.length) : undefined
  switch (high.type) {
    case 'Target':
      return rest('/') !== undefined
    case 'Schema':
      return low.type === 'Table' && rest('.')?.includes('.') === false
    case 'Path':
      return low.type === 'Path' && rest('/') !== undefined
    default:
      return low.type === 'DataClass' && high.type === 'DataClass' && low.id.endsWith(`/${high.id}`)
  }
}
