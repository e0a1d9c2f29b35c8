import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { namedBy } from './scope.ts'

/** What a rule's annotations say, read. */
export type Terms = {
  readonly id?: string
  /** The group that must approve, without its `group:`. */
  readonly hold?: string
  readonly quorum?: number
  readonly waitMs?: number
  readonly ticketMs?: number
  readonly leaseMs?: number
  readonly preview?: 'rows'
  readonly message?: string
  readonly remedy?: string
}

/** Something wrong with one annotation, or with the policy when `annotation` is absent. */
export type Complaint = { readonly annotation?: string; readonly text: string }

type Place = { readonly effect: PolicyJson['effect']; readonly actions: ReadonlySet<string>; readonly held: boolean }
type Annotation = {
  /** Why the annotation may not stand here, or undefined. */
  readonly misplaced: (place: Place) => string | undefined
  /** The terms of a value, or undefined when malformed. */
  readonly read: (value: string) => Terms | undefined
  /** The values it takes, in words. */
  readonly takes: string
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 }
/** Seven days: beyond it timers of the runtime overflow. */
const LONGEST_MS = 168 * 3_600_000

function readDuration(text: string): number | undefined {
  const match = /^(0|[1-9]\d{0,6})([smh])$/.exec(text)
  if (!match) return undefined
  const ms = Number(match[1]) * UNIT_MS[match[2]!]!
  return ms <= LONGEST_MS ? ms : undefined
}

function readText(text: string): string | undefined {
  return text.trim() === '' || /\p{Cc}|\p{Bidi_Control}/u.test(text) ? undefined : text.trim()
}

const anywhere = (): undefined => undefined

function onForbid({ effect }: Place): string | undefined {
  return effect === 'forbid' ? undefined : 'belongs on a forbid'
}

function onHeldOperation({ effect, actions, held }: Place): string | undefined {
  if (effect !== 'permit') return 'belongs on a permit'
  if (actions.has('connect')) return 'on connect is not built yet'
  if (actions.has('unmask')) return 'does not apply to unmask'
  return held ? undefined : 'needs @hold beside it'
}

function onConnect({ effect, actions }: Place): string | undefined {
  return effect === 'permit' && actions.has('connect') ? undefined : 'belongs on a permit whose scope names connect'
}

/** An annotation whose value is one term of its own. */
function term<K extends keyof Terms>(
  name: K,
  read: (value: string) => Terms[K] | undefined,
  takes: string,
  misplaced: Annotation['misplaced'],
): Annotation {
  return { takes, misplaced, read: (value) => wrap(name, read(value)) }
}

function wrap(name: keyof Terms, value: unknown): Terms | undefined {
  return value === undefined ? undefined : { [name]: value }
}

const DURATION = 'a duration of at most 168h: 45s, 15m, 1h'
const TEXT = 'a text of one line'
const positive = (text: string): number | undefined => readDuration(text) || undefined

const ANNOTATIONS: ReadonlyMap<string, Annotation> = new Map([
  ['id', term('id', (text) => (/^[^\p{C}]{1,100}$/u.test(text) ? readText(text) : undefined), 'a name', anywhere)],
  [
    'hold',
    term(
      'hold',
      (text) => /^group:([^\s,\p{C}](?:[^,\p{C}]*[^\s,\p{C}])?)$/u.exec(text)?.[1],
      '"group:name"',
      onHeldOperation,
    ),
  ],
  [
    'quorum',
    term(
      'quorum',
      (text) => (/^[1-9]\d?$/.test(text) ? Number(text) : undefined),
      'a number from 1 to 99',
      onHeldOperation,
    ),
  ],
  ['wait', term('waitMs', readDuration, DURATION, onHeldOperation)],
  ['ticket', term('ticketMs', positive, DURATION, onHeldOperation)],
  ['preview', term('preview', (text) => (text === 'rows' ? text : undefined), '"rows"', onHeldOperation)],
  ['lease', term('leaseMs', positive, DURATION, onConnect)],
  ['message', term('message', readText, TEXT, onForbid)],
  ['remedy', term('remedy', readText, TEXT, onForbid)],
])

/** In the language, but the gateway does not obey them yet: ignoring one would permit too much. */
const NOT_BUILT: ReadonlySet<string> = new Set(['budget', 'reusable'])

function readOne(name: string, value: string | null, place: Place): { terms?: Terms; wrong?: string } {
  if (NOT_BUILT.has(name)) return { wrong: `@${name} is not built yet` }
  const annotation = ANNOTATIONS.get(name)
  if (!annotation) return { wrong: `unknown annotation @${name}` }
  const misplaced = annotation.misplaced(place)
  if (misplaced) return { wrong: `@${name} ${misplaced}` }
  const terms = annotation.read(value ?? '')
  return terms ? { terms } : { wrong: `@${name} takes ${annotation.takes}, not ${JSON.stringify(value ?? '')}` }
}

/** Reads all annotations of a policy, or says what is wrong with each. */
export function readAnnotations(policy: PolicyJson): { terms: Terms; complaints: readonly Complaint[] } {
  const given = Object.entries(policy.annotations ?? {}) as [string, string | null][]
  const place = {
    effect: policy.effect,
    actions: new Set(namedBy(policy.action)),
    held: given.some(([name]) => name === 'hold'),
  }
  const complaints: Complaint[] = []
  let terms: Terms = {}
  for (const [name, value] of given) {
    const one = readOne(name, value, place)
    if (one.wrong) complaints.push({ annotation: name, text: one.wrong })
    terms = { ...terms, ...one.terms }
  }
  if (!given.some(([name]) => name === 'id')) complaints.push({ text: 'every policy needs an @id' })
  return { terms, complaints }
}
