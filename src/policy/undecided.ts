import type { Decision, Operation } from '../gateway/domain.ts'
import type { Rule } from './rule.ts'

/**
 * Of the rules that read optional facts, those that may make the decision another one once these are known; none when the
 * decision stands whatever they are. `rules`: all of the operation's target.
 */
export function undecided(rules: readonly Rule[], { touches }: Operation, decision: Decision): readonly Rule[] {
  const asking = rules.filter(({ asks, covered }) =>
    touches.some(({ action, facts }) => covered.has(action) && [...asks].some((fact) => !(fact in facts.own))),
  )
  return decision.verdict === 'deny' && isFinal(decision.rules, asking) ? [] : asking
}

/** Denied by a rule that reads no such fact; or by none, and no permit reads one. */
function isFinal(deniedBy: readonly string[], asking: readonly Rule[]): boolean {
  if (deniedBy.length === 0) return !asking.some(({ effect }) => effect === 'permit')
  return deniedBy.some((id) => !asking.some((rule) => rule.id === id))
}
