import type { Decision, Operation, Touch } from './domain.ts'
import { decide } from './hold.ts'
import type { Session } from './session.ts'

/** Questions that are put to policy in one go. */
export const AT_ONCE = 256

/** The decision on an operation with more touches than that: others have their turns between its parts. */
export async function decideParts(session: Session, operation: Operation): Promise<Decision> {
  const decisions: Decision[] = []
  for (const touches of partsOf(operation.touches)) {
    await session.core.turns.next()
    const decision = decide(session, { ...operation, touches })
    if (decision.verdict === 'deny') return decision
    decisions.push(decision)
  }
  const [{ policy }] = decisions as [Decision]
  // Terms of several holds, and answers of two policy sets, are put together only where all is asked at once.
  const simple = decisions.every((decision) => decision.verdict === 'allow' && decision.policy === policy)
  if (!simple) return decide(session, operation)
  return { verdict: 'allow', policy, rules: [...new Set(decisions.flatMap(({ rules }) => rules))] }
}

function* partsOf([first, ...rest]: Operation['touches']): Generator<readonly [Touch, ...Touch[]]> {
  yield [first, ...rest.slice(0, AT_ONCE - 1)]
  for (let at = AT_ONCE - 1; at < rest.length; at += AT_ONCE) yield [rest[at]!, ...rest.slice(at + 1, at + AT_ONCE)]
}
