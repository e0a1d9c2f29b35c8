import type { Allow, Deny, Hold, PolicyHash, Refusal } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { CedarAnswer } from './cedar.ts'
import type { Rule } from './rule.ts'
import { forbidden, notDecided, notPermitted } from './words.ts'
import type { Question } from './words.ts'

/** The rules of a policy set, by name and in their order. */
export type RuleBook = { readonly hash: PolicyHash; readonly rules: ReadonlyMap<string, Rule> }

/** Why one question was answered with no. `rules` may be empty: nothing permits it. */
export type No = {
  readonly kind: 'forbidden' | 'broken' | 'unpermitted'
  readonly rules: readonly Rule[]
  readonly refusal: Refusal
}

/** The answer to one question. */
export type Verdict = { readonly permits: readonly Rule[] } | { readonly no: No }

const DEFAULT_WAIT_MS = 45_000
const DEFAULT_TICKET_MS = 15 * 60_000
const DEFAULT_LEASE_MS = 15 * 60_000

const NOTHING_ASKED: No = {
  kind: 'broken',
  rules: [],
  refusal: refuse('denied', 'Nothing was asked for, so nothing is permitted.'),
}

/** What Cedar said, as a verdict. A rule that broke denies: Cedar itself would skip it, be it a forbid or not. */
export function verdictOf(answer: CedarAnswer, question: Question, book: RuleBook): Verdict {
  if ('failure' in answer) return { no: broken(question, [], answer.failure) }
  const satisfied = inOrder(answer.rules, book)
  if (answer.decision === 'deny' && satisfied[0]) {
    return { no: { kind: 'forbidden', rules: satisfied, refusal: forbidden(question, satisfied[0]) } }
  }
  const errors = inOrder(answer.errors, book)
  if (answer.errors.length > 0) return { no: broken(question, errors, 'its condition failed') }
  if (answer.decision !== 'allow' || satisfied.length === 0) {
    return { no: { kind: 'unpermitted', rules: [], refusal: notPermitted(question) } }
  }
  return { permits: satisfied }
}

/** A question that could not be answered, for `why`. */
export function broken(question: Question, rules: readonly Rule[], why: string): No {
  return { kind: 'broken', rules, refusal: notDecided(question, why, rules[0]?.id) }
}

function inOrder(ids: readonly string[], book: RuleBook): readonly Rule[] {
  const wanted = new Set(ids)
  return [...book.rules.values()].filter((rule) => wanted.has(rule.id))
}

/** Names of rules, each once. */
export function ruleNames(rules: readonly Rule[]): readonly string[] {
  return [...new Set(rules.map((rule) => rule.id))]
}

/** The denial of several noes: every forbid is named, and the most telling refusal is given. */
export function deny(noes: readonly [No, ...No[]], hash: PolicyHash): Deny {
  const kinds: readonly No['kind'][] = ['forbidden', 'broken', 'unpermitted']
  const first = [...noes].sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind))[0]!
  const named = noes.filter(({ kind }) => kind === first.kind).flatMap(({ rules }) => rules)
  return { verdict: 'deny', rules: ruleNames(named), policy: hash, refusal: first.refusal }
}

/** Allow, or hold when any of the satisfied permits holds; the strictest terms count. */
export function grant(permits: readonly Rule[], hash: PolicyHash): Allow | Hold {
  const holds = permits.filter((rule) => rule.terms.hold !== undefined)
  if (holds.length === 0) return { verdict: 'allow', rules: ruleNames(permits), policy: hash }
  const terms = holds.map((rule) => rule.terms)
  return {
    verdict: 'hold',
    rules: ruleNames(holds),
    policy: hash,
    groups: [...new Set(terms.flatMap(({ hold }) => hold ?? []))],
    quorum: Math.max(...terms.map(({ quorum = 1 }) => quorum)),
    waitMs: Math.min(...terms.map(({ waitMs = DEFAULT_WAIT_MS }) => waitMs)),
    ticketMs: Math.min(...terms.map(({ ticketMs = DEFAULT_TICKET_MS }) => ticketMs)),
    previews: [...new Set(terms.flatMap(({ preview }) => preview ?? []))],
  }
}

/** The shortest lease of the satisfied permits, in ms. */
export function leaseOf(permits: readonly Rule[]): number {
  return Math.min(...permits.map(({ terms }) => terms.leaseMs ?? DEFAULT_LEASE_MS))
}

/** The permits of all verdicts, or the denial. No verdict at all is a denial too. */
export function all(verdicts: readonly Verdict[]): { permits: readonly Rule[] } | { noes: readonly [No, ...No[]] } {
  const [first, ...more] = verdicts.flatMap((verdict) => ('no' in verdict ? [verdict.no] : []))
  if (first) return { noes: [first, ...more] }
  const permits = verdicts.flatMap((verdict) => ('permits' in verdict ? verdict.permits : []))
  return permits.length > 0 ? { permits } : { noes: [NOTHING_ASKED] }
}
