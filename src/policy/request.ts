import type { EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs'
import type { Identity, Resource, Touch } from '../gateway/domain.ts'
import type { CedarRequest } from './cedar.ts'
import { labelIds } from './slices.ts'
import type { PolicyTarget } from './slices.ts'
import { identityId } from '../gateway/identity.ts'

/** How the session stands when an operation is asked about. */
export type Circumstances = { readonly inTransaction: boolean; readonly delegated: boolean }

const ARGS: TypeAndId = { type: 'Args', id: 'args' }

function principalOf(identity: Identity): TypeAndId {
  return { type: identity.kind, id: identityId(identity) }
}

function entity(uid: TypeAndId, parents: readonly TypeAndId[], tags?: EntityJson['tags']): EntityJson {
  return { uid, attrs: {}, parents: [...parents], ...(tags && { tags }) }
}

function principalEntity(identity: Identity): EntityJson {
  const groups = [...new Set(identity.groups)]
  return entity(
    principalOf(identity),
    groups.map((id) => ({ type: 'Group', id })),
  )
}

function targetEntity(target: PolicyTarget): EntityJson {
  return entity(
    { type: 'Target', id: target.name },
    labelIds(target).map((id) => ({ type: 'Label', id })),
  )
}

/** The resource and everything above it, the target last. */
function chainOf(resource: Resource): readonly Resource[] {
  return resource.parent ? [resource, ...chainOf(resource.parent)] : [resource]
}

/** What may be directly above a resource of each type, and what joins the two ids. */
const ABOVE: ReadonlyMap<string, { readonly types: readonly string[]; readonly joint: string }> = new Map([
  ['Table', { types: ['Schema'], joint: '.' }],
  ['Schema', { types: ['Target'], joint: '/' }],
  ['Path', { types: ['Path', 'Target'], joint: '/' }],
])

/** The name of the target that a resource is part of; undefined when it does not stand in the tree of the schema. */
export function targetName({ type, id, parent }: Resource): string | undefined {
  if (type === 'Target') return parent ? undefined : id
  const above = ABOVE.get(type)
  const fits = above && parent && above.types.includes(parent.type) && id.startsWith(parent.id + above.joint)
  return fits ? targetName(parent) : undefined
}

function resourceEntities(resource: Resource, target: PolicyTarget): readonly EntityJson[] {
  const inside = chainOf(resource).slice(0, -1)
  const nodes = inside.map(({ type, id, parent }) => entity({ type, id }, [{ type: parent!.type, id: parent!.id }]))
  return [...nodes, targetEntity(target)]
}

/** May this principal do this: one touch of an operation. */
export function touchRequest(
  identity: Identity,
  touch: Touch,
  target: PolicyTarget,
  { inTransaction, delegated }: Circumstances,
): CedarRequest {
  const { action, resource, facts } = touch
  return {
    principal: principalOf(identity),
    action,
    resource: { type: resource.type, id: resource.id },
    context: {
      ...(facts.own as CedarRequest['context']),
      unbounded: facts.unbounded,
      in_transaction: inTransaction,
      delegated,
      args: { __entity: ARGS },
    },
    entities: [principalEntity(identity), ...resourceEntities(resource, target), entity(ARGS, [], { ...facts.args })],
  }
}

/** May this principal open a session on the target. */
export function connectRequest(identity: Identity, target: PolicyTarget, delegated: boolean): CedarRequest {
  return {
    principal: principalOf(identity),
    action: 'connect',
    resource: { type: 'Target', id: target.name },
    context: { delegated },
    entities: [principalEntity(identity), targetEntity(target)],
  }
}

/** May this principal see values of a data class in clear. */
export function unmaskRequest(identity: Identity, target: PolicyTarget, dataClass: string): CedarRequest {
  const resource = { type: 'DataClass', id: `${target.name}/${dataClass}` }
  const parents = [
    { type: 'DataClass', id: dataClass },
    { type: 'Target', id: target.name },
  ]
  return {
    principal: principalOf(identity),
    action: 'unmask',
    resource,
    context: {},
    entities: [principalEntity(identity), entity(resource, parents), targetEntity(target)],
  }
}
