import type { Outcome } from '../gateway/exchange.ts'
import type { OperationDecided, RecordedIdentity } from './entry.ts'
import { printable } from '../gateway/printable.ts'
import type { ReplayedAnswer, ReplayedInput, ReplayStep } from './replay.ts'

type Lines = readonly [string, ...string[]]

const VOTED = { approve: 'approved', reject: 'rejected' } as const
const DECIDED = { allow: 'ALLOWED', hold: 'HELD', deny: 'DENIED' } as const

/** A step for people: a line that says what happened, then what it happened with, indented. Safe for a terminal. */
export function replayText(step: ReplayStep): readonly string[] {
  const [first, ...details] = describe(step)
  return [`${step.at}  ${printable(first)}`, ...details.map((line) => `    ${printable(line)}`)]
}

function describe(step: ReplayStep): Lines {
  switch (step.type) {
    case 'session.opened': {
      const { who, target, protocol, client, lease, expires_at, grant, rules } = step
      const lasts = `lease ${lease} until ${expires_at}, grant ${grant}, by ${rules.join(', ')}`
      return [`session opened: ${named(who)} on ${target} (${protocol}) from ${client}`, lasts]
    }
    case 'operation':
      return describeOperation(step)
    case 'preview':
      return [`${step.operation} is previewed: how many rows would it touch?`, ...statementOf(step)]
    case 'answer':
      return describeAnswer(step)
    case 'input':
      return describeInput(step)
    case 'vote':
      return [`${step.operation} ${VOTED[step.vote]} by ${step.by}`, ...present(step.reason)]
    case 'session.closed':
      return [`session closed: ${step.reason}`]
    case 'lease.revoked': {
      const state = step.verified ? 'revoked, and checked at the target' : 'NOT revoked yet'
      return [`lease ${step.lease} ${state} (${step.reason})`, ...present(step.error)]
    }
    default:
      return [step.type, JSON.stringify(step)]
  }
}

function describeOperation(step: OperationDecided): Lines {
  const { operation, stage, decision, rules, approval, refusal } = step
  const how = rules.length > 0 ? ` by ${rules.join(', ')}` : ''
  const by = approval && approval.by.length > 0 ? ` by ${approval.by.join(', ')}` : ''
  const approved = approval ? `, approval ${approval.id}${by}` : ''
  return [
    `${operation} ${DECIDED[decision]}${how}${approved}${stage === 'prepare' ? ' (prepared only)' : ''}`,
    ...statementOf(step),
    ...(refusal ? [`refused (${refusal.code}): ${refusal.message}`] : []),
  ]
}

function statementOf({
  text,
  sent,
  parameters,
}: Pick<OperationDecided, 'text' | 'sent' | 'parameters'>): readonly string[] {
  const bound = parameters?.map((value) => JSON.stringify(value)).join(', ')
  return [
    ...quoted(text),
    ...(sent === undefined ? [] : ['sent to the target as', ...quoted(sent)]),
    ...present(parameters && `parameters: ${bound}`),
  ]
}

function quoted(text: string): readonly string[] {
  return text.split('\n').map((line) => `| ${line}`)
}

function describeAnswer(step: ReplayedAnswer): Lines {
  const { operation, size, answer, outcome } = step
  return describeBytes(`${operation ?? 'the target'} answered, ${size} bytes${ending(outcome)}`, answer, step)
}

function describeInput(step: ReplayedInput): Lines {
  return describeBytes(`${step.operation} was given input, ${step.size} bytes`, step.input, step)
}

function describeBytes(
  first: string,
  read: unknown,
  { unread, digest }: Pick<ReplayedAnswer, 'unread' | 'digest'>,
): Lines {
  if (unread) return [`${first}, not readable (${unread.why})`, `| ${unread.bytes}`]
  if (read === undefined) return [`${first}, not kept whole`, ...present(digest && `SHA-256 so far ${digest}`)]
  const items: readonly unknown[] = Array.isArray(read) ? read : [read]
  return [first, ...items.map((item) => `| ${typeof item === 'string' ? item : JSON.stringify(item)}`)]
}

function ending(outcome: Outcome | undefined): string {
  if (!outcome) return ''
  const rows = outcome.rows === undefined ? '' : `, ${outcome.rows} rows`
  return `, ${outcome.status}${rows}${outcome.code === undefined ? '' : `, code ${outcome.code}`}`
}

function named(identity: RecordedIdentity): string {
  const self = `${identity.id} (${identity.kind})`
  return identity.act ? `${self} for ${named(identity.act)}` : self
}

function present(text: string | undefined): readonly string[] {
  return text === undefined ? [] : [text]
}
