import type { EntityUidJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs'
import { sliceOf } from './cedar.ts'
import type { PolicySlice } from './cedar.ts'
import type { Rule } from './rule.ts'

/** A target as policies see it. */
export type PolicyTarget = { readonly name: string; readonly labels: Readonly<Record<string, string>> }

/** The policies of one target, apart for each kind of question. */
export type TargetSlices = {
  readonly operations: PolicySlice
  readonly connect: PolicySlice
  readonly unmask: PolicySlice
  readonly privileged: PolicySlice
}

/** `Label` ids of a target: `env=prod`. */
export function labelIds(target: PolicyTarget): readonly string[] {
  return Object.entries(target.labels).map(([name, value]) => `${name}=${value}`)
}

function scopeEntity({ resource }: Rule): TypeAndId | undefined {
  const constraint = resource.op === 'is' ? resource.in : resource
  if (!constraint || !('entity' in constraint)) return undefined
  const uid: EntityUidJson = constraint.entity
  return '__entity' in uid ? uid.__entity : uid
}

/** Whether a rule's resource scope can hold for anything of this target. What is not known to be elsewhere, can. */
export function concerns(rule: Rule, target: PolicyTarget): boolean {
  const scope = scopeEntity(rule)
  switch (scope?.type) {
    case 'Target':
    case 'Schema':
    case 'Table':
    case 'Path':
      return scope.id.split('/')[0] === target.name
    case 'DataClass':
      return !scope.id.includes('/') || scope.id.startsWith(`${target.name}/`)
    case 'Label':
      return labelIds(target).includes(scope.id)
    default:
      return true
  }
}

/** A permit counts for these only if its scope names that very action. */
function countsFor(action: 'connect' | 'unmask' | 'sql.privileged', rule: Rule): boolean {
  return rule.effect === 'forbid' || rule.actions.has(action)
}

/** The policies that can apply to a target. */
export function slicesFor(target: PolicyTarget, rules: readonly Rule[]): TargetSlices {
  const near = rules.filter((rule) => concerns(rule, target))
  return {
    operations: sliceOf(near),
    connect: sliceOf(near.filter((rule) => countsFor('connect', rule))),
    unmask: sliceOf(near.filter((rule) => countsFor('unmask', rule))),
    privileged: sliceOf(near.filter((rule) => countsFor('sql.privileged', rule))),
  }
}
