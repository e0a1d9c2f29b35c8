import type { Decision, Operation, Remedy } from './domain.ts'
import type { Exchange } from './exchange.ts'
import { AT_ONCE, decideParts } from './decide-parts.ts'
import { decide, objectionTo, permitPreview } from './hold.ts'
import { refuse } from './refusals.ts'
import type { Session } from './session.ts'
import type { Soon } from './source.ts'

/** A decision, and the operation with the facts that it rests on. */
export type Judged = { readonly operation: Operation; readonly decision: Decision }

/**
 * Decides; where that hangs on facts which only the target can tell, they are found out first. A `prepare` runs nothing and
 * has no parameters that could be measured with: what hangs on such a fact is left to the `execute`.
 */
export function judge(session: Session, exchange: Exchange, operation: Operation): Soon<Judged> {
  if (operation.touches.length > AT_ONCE) return judgeParts(session, operation)
  const decision = decide(session, operation)
  const policy = session.core.policy()
  const open = policy.undecided(operation, decision)
  if (open.length === 0 || objectionTo(session, operation)) return { operation, decision }
  if (operation.stage === 'execute') return judgeMeasured(session, exchange, operation, decision)
  const left: Decision = { verdict: 'allow', rules: open, policy: policy.hash }
  return { operation, decision: decision.verdict === 'deny' ? left : decision }
}

/** No statement whose rows can be estimated touches so much. */
async function judgeParts(session: Session, operation: Operation): Promise<Judged> {
  return { operation, decision: await decideParts(session, operation) }
}

async function judgeMeasured(
  session: Session,
  exchange: Exchange,
  operation: Operation,
  decision: Decision,
): Promise<Judged> {
  const measured = await exchange.measure(session.permit, () => permitPreview(session, operation))
  if (measured !== 'gone') return { operation: measured, decision: explained(decide(session, measured), measured) }
  const refusal = refuse('cancelled', 'An earlier statement failed.')
  return { operation, decision: { verdict: 'deny', rules: decision.rules, policy: decision.policy, refusal } }
}

/** Denied for want of a fact, as it seems: its sender has to know what is missing. */
function explained(decision: Decision, { measured }: Operation): Decision {
  if (decision.verdict !== 'deny' || measured !== undefined) return decision
  const { refusal } = decision
  return { ...decision, refusal: { ...refusal, remedy: [UNMEASURED, ...refusal.remedy] } }
}

const UNMEASURED: Remedy = {
  do: 'change',
  hint: 'The target gave no estimate of its rows, which a rule asks for: send it as one statement on its own, and look for a mistake in it.',
}
