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
  /** The rules that read optional facts. */
  readonly asking: readonly Rule[]
}

/** `Label` ids of a target: `env=prod`. */
export function labelIds(target: PolicyTarget): readonly string[] {
  return Object.entries(target.labels).map(([name, value]) => `${name}=${value}`)
}

/** Whether a rule's resource scope can hold for anything of this target. What is not known to be elsewhere, can. */
export function concerns(rule: Rule, target: PolicyTarget): boolean {
  const scope = rule.resource.entity
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
const NAMED: readonly string[] = ['connect', 'unmask', 'sql.privileged']

export function countsFor(action: string, rule: Rule): boolean {
  return rule.effect === 'forbid' || rule.actions.has(action) || !NAMED.includes(action)
}

/** The policies that can apply to a target. */
export function slicesFor(target: PolicyTarget, rules: readonly Rule[]): TargetSlices {
  const near = rules.filter((rule) => concerns(rule, target))
  return {
    operations: sliceOf(near),
    connect: sliceOf(near.filter((rule) => countsFor('connect', rule))),
    unmask: sliceOf(near.filter((rule) => countsFor('unmask', rule))),
    privileged: sliceOf(near.filter((rule) => countsFor('sql.privileged', rule))),
    asking: near.filter(({ asks }) => asks.size > 0),
  }
}
