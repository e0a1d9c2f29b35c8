import type { Decision, Identity, Operation, Resource, Touch } from '../gateway/domain.ts'
import { boundedCache } from './bounded-cache.ts'
import type { BoundedCache } from './bounded-cache.ts'
import type { Cedar, CedarRequest, PolicySlice } from './cedar.ts'
import type { ConnectDecision, Policy } from './policy.ts'
import { possibleActions } from './possible-actions.ts'
import { connectRequest, targetName, touchRequest, unmaskRequest } from './request.ts'
import type { Circumstances } from './request.ts'
import { slicesFor } from './slices.ts'
import type { PolicyTarget, TargetSlices } from './slices.ts'
import { undecided } from './undecided.ts'
import type { Rule } from './rule.ts'
import { all, broken, deny, grant, leaseOf, ruleNames, verdictOf } from './verdict.ts'
import type { RuleBook, Verdict } from './verdict.ts'
import { notUnderstood } from './words.ts'
import type { Question } from './words.ts'

/** Verdicts remembered by one policy set, and the longest question remembered, in characters. */
const REMEMBERED = 10_000
const LONGEST_QUESTION = 8_192

type Registered = { readonly target: PolicyTarget; readonly slices: TargetSlices }

/** Everything a question is answered with. */
type Desk = {
  readonly book: RuleBook
  readonly registered: ReadonlyMap<string, Registered>
  readonly cedar: Cedar
  readonly remembered: BoundedCache<Verdict>
  readonly permitted: Permitted
  /** By target and principals. */
  readonly possible: BoundedCache<ReadonlySet<string>>
}

/** The identity and everybody it acts for: each of them is asked. */
function principals(identity: Identity): readonly Identity[] {
  return identity.onBehalfOf ? [identity, ...principals(identity.onBehalfOf)] : [identity]
}

function targetOf(desk: Desk, resource: Resource): Registered | undefined {
  return desk.registered.get(targetName(resource) ?? '')
}

function ask({ book, cedar }: Desk, slice: PolicySlice, request: CedarRequest, question: Question): Verdict {
  return verdictOf(cedar.ask(slice, request), question, book)
}

function askTouch(desk: Desk, identity: Identity, touch: Touch, circumstances: Circumstances): Verdict {
  const question = { identity, action: touch.action, resource: touch.resource, touch }
  if (touch.action.endsWith('.unknown')) {
    return { no: { kind: 'broken', rules: [], refusal: notUnderstood(question) } }
  }
  const known = targetOf(desk, touch.resource)
  if (!known) return { no: broken(question, [], 'it belongs to no registered target') }
  const slice = touch.action === 'sql.privileged' ? known.slices.privileged : known.slices.operations
  return ask(desk, slice, touchRequest(identity, touch, known.target, circumstances), question)
}

/** Everything of a touch's question that enters the request. */
function questionKey(
  { kind, provider, subject, groups }: Identity,
  touch: Touch,
  circumstances: Circumstances,
): string {
  return JSON.stringify([kind, provider, subject, groups, touch, circumstances])
}

/** As `askTouch`, once for each question; what broke may not break again. */
function recallTouch(desk: Desk, identity: Identity, touch: Touch, circumstances: Circumstances): Verdict {
  const key = questionKey(identity, touch, circumstances)
  const before = desk.remembered.get(key)
  if (before) return before
  const verdict = askTouch(desk, identity, touch, circumstances)
  if (!('no' in verdict) || verdict.no.kind !== 'broken') desk.remembered.set(key, verdict)
  return verdict
}

/** What touches were permitted, for an identity: the very objects, as a statement that comes again has them. */
type Permitted = WeakMap<Identity, WeakMap<readonly Touch[], { inside?: Decision; outside?: Decision }>>

function decide(desk: Desk, identity: Identity, operation: Operation): Decision {
  const { touches, inTransaction } = operation
  const place = inTransaction ? 'inside' : 'outside'
  const own = desk.permitted.get(identity) ?? new WeakMap()
  const known = own.get(touches) ?? {}
  if (known[place]) return known[place]
  const decision = decideAnew(desk, identity, operation)
  if (decision.verdict === 'deny') return decision
  desk.permitted.set(identity, own.set(touches, { ...known, [place]: decision }))
  return decision
}

function decideAnew(desk: Desk, identity: Identity, { touches, inTransaction }: Operation): Decision {
  const asked = principals(identity)
  const circumstances = { inTransaction, delegated: asked.length > 1 }
  const outcome = all(touches.flatMap((touch) => asked.map((one) => recallTouch(desk, one, touch, circumstances))))
  const { hash } = desk.book
  return 'noes' in outcome ? deny(outcome.noes, hash) : grant(outcome.permits, hash)
}

function connect(desk: Desk, identity: Identity, resource: Resource): ConnectDecision {
  const asked = principals(identity)
  const known = targetOf(desk, resource)
  const verdicts = asked.map((one): Verdict => {
    const question = { identity: one, action: 'connect', resource }
    if (!known) return { no: broken(question, [], 'it is no registered target') }
    return ask(desk, known.slices.connect, connectRequest(one, known.target, asked.length > 1), question)
  })
  const outcome = all(verdicts)
  const { hash } = desk.book
  if ('noes' in outcome) return deny(outcome.noes, hash)
  const { permits } = outcome
  return { verdict: 'allow', rules: ruleNames(permits), policy: hash, leaseMs: leaseOf(permits) }
}

function maySee(desk: Desk, identity: Identity, { target, slices }: Registered, dataClass: string): boolean {
  const request = unmaskRequest(identity, target, dataClass)
  const question = { identity, action: 'unmask', resource: request.resource }
  return 'permits' in ask(desk, slices.unmask, request, question)
}

function unmasked(desk: Desk, identity: Identity, resource: Resource, classes: readonly string[]): readonly string[] {
  const asked = principals(identity)
  const known = targetOf(desk, resource)
  if (!known || asked.some(({ kind }) => kind !== 'User')) return []
  const named = classes.filter((dataClass) => !dataClass.includes('/'))
  return named.filter((dataClass) => asked.every((one) => maySee(desk, one, known, dataClass)))
}

/** The names of `undecided` rules. */
function stillOpen(desk: Desk, operation: Operation, decision: Decision): readonly string[] {
  const asking = targetOf(desk, operation.touches[0].resource)?.slices.asking ?? NO_RULES
  return asking.length === 0 ? NO_NAMES : ruleNames(undecided(asking, operation, decision))
}

const NO_RULES: readonly Rule[] = []
const NO_NAMES: readonly string[] = []

/** As `possibleActions`, once for each target and everybody who asks there. */
function recallPossible(desk: Desk, identity: Identity, resource: Resource): ReadonlySet<string> {
  const asked = principals(identity)
  const known = targetOf(desk, resource)
  if (!known) return new Set()
  const who = asked.map(({ kind, provider, subject, groups }) => [kind, provider, subject, groups])
  const key = JSON.stringify([known.target.name, who])
  const before = desk.possible.get(key)
  if (before) return before
  const found = possibleActions([...desk.book.rules.values()], asked, known.target)
  desk.possible.set(key, found)
  return found
}

/** The policy of a rule book over the targets known when it was loaded; any other target is denied. */
export function decider(book: RuleBook, targets: readonly PolicyTarget[], cedar: Cedar): Policy {
  const rules = [...book.rules.values()]
  const registered = new Map(targets.map((target) => [target.name, { target, slices: slicesFor(target, rules) }]))
  const permitted: Permitted = new WeakMap()
  const desk = {
    book,
    registered,
    cedar,
    remembered: boundedCache<Verdict>(REMEMBERED, LONGEST_QUESTION),
    permitted,
    possible: boundedCache<ReadonlySet<string>>(REMEMBERED, LONGEST_QUESTION),
  }
  // Room for these sets and for those they replace while sessions still use them.
  cedar.reserve(registered.size * 8)
  return {
    hash: book.hash,
    decide: (identity, operation) => decide(desk, identity, operation),
    undecided: (operation, decision) => stillOpen(desk, operation, decision),
    possibleActions: (identity, target) => recallPossible(desk, identity, target),
    connect: (identity, target) => connect(desk, identity, target),
    unmasked: (identity, target, classes) => unmasked(desk, identity, target, classes),
  }
}
