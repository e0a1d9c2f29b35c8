import type { Identity } from '../gateway/domain.ts'
import type { Rule } from './rule.ts'
import { covers, isAbout } from './scope.ts'
import { concerns, countsFor, type PolicyTarget } from './slices.ts'

/**
 * Every action that these rules could ever permit somebody on a target, whatever is asked for and however the session
 * stands: a permit's conditions are taken to be true; a forbid takes away what a permit gives only where it has no
 * conditions and covers all that the permit is about. Whoever acts for somebody must be permitted, and so must they.
 */
export function possibleActions(
  rules: readonly Rule[],
  principals: readonly Identity[],
  target: PolicyTarget,
): ReadonlySet<string> {
  const near = rules.filter((rule) => concerns(rule, target))
  const [first, ...others] = principals.map((identity) => possibleFor(near, identity, target.name))
  return others.reduce((all, one) => all.intersection(one), first ?? new Set())
}

function possibleFor(rules: readonly Rule[], identity: Identity, target: string): ReadonlySet<string> {
  const about = rules.filter(({ principal }) => isAbout(principal, identity))
  const permits = about.filter(({ effect }) => effect === 'permit')
  const forbids = about.filter(({ effect, conditional }) => effect === 'forbid' && !conditional)
  const isTaken = (action: string, permit: Rule): boolean =>
    forbids.some((forbid) => forbid.covered.has(action) && covers(forbid.resource, permit.resource, target))
  const given = permits.flatMap((permit) =>
    [...permit.covered].filter((action) => countsFor(action, permit) && !isTaken(action, permit)),
  )
  return new Set(identity.kind === 'User' ? given : given.filter((action) => action !== 'unmask'))
}
