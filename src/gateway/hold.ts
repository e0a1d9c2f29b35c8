import { approvalUrl, type Approval } from '../approvals/approvals.ts'
import { operationEntry } from '../record/entry.ts'
import type { Decision, Hold, Operation, PolicyHash, Preview, Refusal } from './domain.ts'
import type { Exchange } from './exchange.ts'
import { outsideGrant } from './grant-use.ts'
import { permitFrom, type Permit } from './permit.ts'
import { grantEnded, refuse } from './refusals.ts'
import type { Session } from './session.ts'

/** Why an operation may go on: for its record. */
export type Released = {
  readonly rules: readonly string[]
  readonly policy: PolicyHash
  readonly approval?: { readonly id: Approval['id']; readonly by: readonly string[] }
}

type Ruling = Released & { readonly refusal: Refusal }

/** While an operation is held the client hears of it at once and then this often, in ms. */
const NOTICE_EVERY_MS = 15_000

/** Objections first: what cannot be read, or what no rule may allow, never reaches policy. */
export function decide(session: Session, operation: Operation): Decision {
  const policy = session.core.policy()
  const objection = objectionTo(session, operation)
  if (objection) return { verdict: 'deny', rules: [], policy: policy.hash, refusal: objection }
  return policy.decide(session.opening.identity, operation)
}

/** Why no policy is asked about it. */
export function objectionTo(session: Session, operation: Operation): Refusal | undefined {
  return operation.objection ?? unknownAction(operation) ?? expired(session) ?? outsideGrant(session.opening, operation)
}

function unknownAction(operation: Operation): Refusal | undefined {
  const unknown = operation.touches.find(({ action }) => action.endsWith('.unknown'))
  return unknown && refuse('unreadable', `The gateway cannot tell what this would do (${unknown.action}).`)
}

function expired(session: Session): Refusal | undefined {
  const now = session.core.clock.now()
  if (session.opening.expiresAt > now) return undefined
  if (session.opening.identity.expiresAt > now) return grantEnded()
  return refuse('identity', 'The token of this session has expired.', [
    { do: 'change', hint: 'Connect with a new token.' },
  ])
}

/** Waits for a human where that is possible; decides again before it releases; spends the approval once. */
export async function holdOperation(
  session: Session,
  exchange: Exchange,
  operation: Operation,
  hold: Hold,
): Promise<Released | Ruling> {
  const pause = await exchange.pause(session.permit)
  if (pause === 'gone') return { ...hold, refusal: refuse('cancelled', 'An earlier statement failed.') }
  if (pause === 'idle') await session.settled()
  const preview =
    pause === 'idle' && hold.previews.includes('rows')
      ? await exchange.preview(() => permitPreview(session, operation))
      : undefined
  const approval = await requestApproval(session, operation, hold, preview)
  if (approval.state === 'approved') return release(session, operation, hold, approval)

  const ticket = required(session, operation, approval)
  if (pause === 'busy') return { ...hold, refusal: ticket }
  const asked = { id: approval.id, by: [] }
  await session.record(operationEntry(session.opening, operation, { decision: 'hold', ...hold, approval: asked }))
  const settled = await session.whileHeld((cancelled) => wait(session, exchange, ticket, approval, cancelled))
  if (settled === 'cancelled') return { ...hold, refusal: refuse('cancelled', 'Cancelled while waiting for approval.') }
  if (settled.state === 'approved') return release(session, operation, hold, settled)
  if (settled.state === 'rejected') return { ...hold, refusal: rejected(settled) }
  return { ...hold, refusal: settled.state === 'pending' ? ticket : uncovered(settled) }
}

/** What the target is asked about an operation before it is sent holds its text: it is recorded before, like the operation. */
export async function permitPreview(session: Session, { id, text, parameters }: Operation): Promise<Permit> {
  const entry = { type: 'preview', ...session.place(), operation: id, text, parameters } as const
  return permitFrom(await session.core.recorder.append(entry, 'written'))
}

function requestApproval(
  session: Session,
  operation: Operation,
  hold: Hold,
  preview: Preview | undefined,
): Promise<Approval> {
  const { id, target, identity, client } = session.opening
  return session.core.approvals.request({
    operation: operation.id,
    session: id,
    target,
    requester: identity,
    client,
    text: operation.text,
    parameters: operation.parameters,
    digest: operation.digest,
    touches: operation.touches.map(({ action, resource }) => `${action} on ${resource.type} ${resource.id}`),
    hold,
    preview,
  })
}

async function wait(
  session: Session,
  exchange: Exchange,
  ticket: Refusal,
  approval: Approval,
  cancelled: AbortSignal,
): Promise<Approval | 'cancelled'> {
  const { approvals, clock } = session.core
  const deadline = clock.monotonic() + approval.hold.waitMs
  const message = `Held for approval by ${approval.hold.groups.join(' and ')}: ${approval.id} (${approvalUrl(session.core.url, approval.id)})`
  for (;;) {
    const left = deadline - clock.monotonic()
    if (left <= 0) return approval
    exchange.notify({ message, refusal: ticket })
    const now = await approvals.settled(approval.id, Math.min(left, NOTICE_EVERY_MS), cancelled)
    if (now.state !== 'pending') return now
    if (!cancelled.aborted) continue
    await approvals.withdraw(approval.id)
    return 'cancelled'
  }
}

/** The token may have expired, the policy changed, the approval been spent elsewhere: all is asked again. */
async function release(
  session: Session,
  operation: Operation,
  hold: Hold,
  approval: Approval,
): Promise<Released | Ruling> {
  const again = decide(session, operation)
  if (again.verdict === 'deny') return again
  const covered = again.verdict === 'allow' || covers(approval.hold, again)
  if (!covered || !(await session.core.approvals.spend(approval.id, operation.id))) {
    return { ...hold, refusal: uncovered(approval) }
  }
  const by = approval.votes.filter(({ vote }) => vote === 'approve').map((vote) => vote.by)
  return { rules: again.rules, policy: again.policy, approval: { id: approval.id, by } }
}

function covers(given: Hold, asked: Hold): boolean {
  return given.quorum >= asked.quorum && asked.groups.every((group) => given.groups.includes(group))
}

function required(session: Session, operation: Operation, approval: Approval): Refusal {
  const groups = approval.hold.groups.join(' and ')
  const message = `${operation.touches[0].action} needs approval by ${groups} (rule ${approval.hold.rules.join(', ')}): ${approval.id}. Once it is approved, send exactly the same again.`
  return refuse(
    'approval_required',
    message,
    [{ do: 'wait', hint: `Ask a member of ${groups} to run: sallyport approve ${approval.id}` }],
    {
      rule: approval.hold.rules[0],
      retry_after_s: 30,
      approval: {
        id: approval.id,
        url: approvalUrl(session.core.url, approval.id),
        expires_at: new Date(approval.expiresAt).toISOString(),
      },
    },
  )
}

/** Spent or withdrawn by another session of the same identity, expired, or not enough for a policy made stricter. */
function uncovered({ id }: Approval): Refusal {
  return refuse('approval_expired', `Approval ${id} no longer covers this operation. Send it again to ask anew.`, [
    { do: 'change', hint: 'Send it again to ask anew.' },
  ])
}

function rejected(approval: Approval): Refusal {
  const vote = approval.votes.find(({ vote }) => vote === 'reject')
  const reason = vote?.reason ? `: ${vote.reason}` : '.'
  return refuse('approval_rejected', `Rejected by ${vote?.by ?? 'an approver'}${reason}`, [
    { do: 'change', hint: vote?.reason ?? 'Ask the approver what would be acceptable.' },
  ])
}
