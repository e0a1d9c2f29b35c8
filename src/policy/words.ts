import type { Identity, Refusal, Remedy, Resource, Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Rule } from './rule.ts'
import { identityId } from '../gateway/identity.ts'

/** What was asked for, in words: for refusals only. */
export type Question = {
  readonly identity: Identity
  readonly action: string
  readonly resource: Resource
  /** Where an operation asks. */
  readonly touch?: Touch
}

/** Longest name out of a client's own text that a message repeats, in characters. */
const LONGEST_NAME = 63

function verb({ action, touch }: Question): string {
  const words = action
    .replace(/^[a-z]+\./, '')
    .replaceAll('_', ' ')
    .toUpperCase()
  const name = touch?.facts.args['/name'] ?? touch?.facts.args['/function']
  return name === undefined ? words : `${words} ${name.slice(0, LONGEST_NAME)}`
}

function extent({ action, touch }: Question): string {
  if (!touch?.facts.unbounded || !['sql.update', 'sql.delete'].includes(action)) return ''
  return touch.facts.own['has_where'] === false ? ' without WHERE' : ' with a WHERE that does not limit the rows'
}

function subject(question: Question): string {
  if (question.action === 'connect') return `Connecting to ${question.resource.id}`
  return `${verb(question)} on ${question.resource.id}${extent(question)}`
}

function askFor(hint: string): readonly Remedy[] {
  return [{ do: 'ask', hint }]
}

/** `rule` forbids it. */
export function forbidden(question: Question, rule: Rule): Refusal {
  const { message, remedy } = rule.terms
  const text = message?.replace(/\.$/, '') ?? `${subject(question)} is not allowed`
  const hint = `Ask the owners of the policies whether ${rule.id} may be lifted here.`
  const next: readonly Remedy[] = remedy ? [{ do: 'change', hint: remedy }] : askFor(hint)
  return refuse('denied', `${text} (rule ${rule.id}).`, next, { rule: rule.id })
}

/** Nothing permits it. */
export function notPermitted({ identity, action, resource }: Question): Refusal {
  const who = `${identity.kind} ${identityId(identity)}`
  const hint = `Ask the owners of the policies for a rule that permits ${action} on ${resource.type} ${resource.id}.`
  return refuse('denied', `No rule permits ${action} on ${resource.type} ${resource.id} for ${who}.`, askFor(hint))
}

/** No rule can allow it. */
export function notUnderstood(question: Question): Refusal {
  const next: readonly Remedy[] = [{ do: 'change', hint: 'Say it in a form that can be understood.' }]
  return refuse('denied', `${subject(question)} is not understood, and no rule can allow that.`, next)
}

/** A rule's condition broke, or the question is not one that the schema has. */
export function notDecided(question: Question, why: string, rule?: string): Refusal {
  const by = rule === undefined ? `: ${why}` : ` (rule ${rule}: ${why})`
  const text = `${subject(question)} is not allowed, because the policies could not be evaluated${by}.`
  return refuse('denied', text, askFor('Tell the owners of the policies.'), rule === undefined ? {} : { rule })
}
