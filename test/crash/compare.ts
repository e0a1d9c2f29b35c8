import type { StoredEntry } from '../../src/record/entry.ts'
import type { Ran } from './target-log.ts'

/** The name, at the target, of the statements that the gateway asks of its own accord. */
const OWN = 'sallyport_own'
/** What it asks before a client is heard, under the permit that the record of the session's opening gives. */
const SEARCH_PATH = 'SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))'

/** First words of statements that change nothing. */
const IDLE: ReadonlySet<string> = new Set(['SELECT', 'EXPLAIN'])

/** How often each thing is there. */
export type Counts = ReadonlyMap<string, number>

/** What the records allow to run at the target, by role, stage, text and parameters. */
export function allowedBy(records: readonly StoredEntry[]): Counts {
  const leases = new Map<string, string>()
  const keys = records.flatMap((record) => {
    if (record.type === 'session.opened') leases.set(record.session, record.lease)
    if (!('session' in record) || record.session === undefined) return []
    return permittedBy(record).map(([stage, text, ...parameters]) =>
      keyOf(leases.get(record.session!), stage, text, parameters),
    )
  })
  return count(keys)
}

type Permitted = readonly [stage: string, text: string, ...parameters: (string | null)[]]

function permittedBy(record: StoredEntry): readonly Permitted[] {
  switch (record.type) {
    case 'session.opened':
      return inBothStages(`${OWN}: ${SEARCH_PATH}`)
    case 'preview':
      return [
        ...inBothStages(`${OWN}: EXPLAIN (FORMAT JSON) ${record.text}`, record.parameters),
        ...ASIDE.flatMap((text) => inBothStages(`${OWN}: ${text}`)),
      ]
    case 'operation':
      return record.decision === 'allow' ? [[record.stage, record.text, ...(record.parameters ?? [])]] : []
    default:
      return []
  }
}

/** In an open transaction the question is asked behind a savepoint. */
const ASIDE = ['SAVEPOINT', 'ROLLBACK TO SAVEPOINT', 'RELEASE SAVEPOINT'].map((word) => `${word} sallyport_aside`)

/** The gateway's own statement is prepared first. */
function inBothStages(text: string, parameters: readonly (string | null)[] = []): readonly Permitted[] {
  return [
    ['prepare', text],
    ['execute', text, ...parameters],
  ]
}

/** What ran and was not recorded, as often as it ran too often. */
export function unrecorded(ran: readonly Ran[], allowed: Counts): readonly string[] {
  return [...count(ran.map(keyOfRan))].flatMap(([key, times]) =>
    Array.from({ length: Math.max(0, times - (allowed.get(key) ?? 0)) }, () => key),
  )
}

/**
 * Of each role, in order, everything up to the last statement that took effect: a write outside a transaction, or
 * COMMIT. What comes behind it has changed nothing.
 */
export function tookEffect(ran: readonly Ran[]): readonly Ran[] {
  return [...Map.groupBy(ran, ({ role }) => role).values()].flatMap((statements) => {
    let inTransaction = false
    let effective = 0
    for (const [index, { stage, text }] of statements.entries()) {
      if (stage === 'prepare') continue
      const [word = ''] = text.split(/\W/)
      if (word === 'BEGIN') inTransaction = true
      if (word === 'COMMIT' || word === 'END') inTransaction = false
      if (!inTransaction && !IDLE.has(word)) effective = index + 1
    }
    return statements.slice(0, effective)
  })
}

function keyOfRan({ role, stage, name, text, parameters }: Ran): string {
  const own = name?.split('/')[0] === OWN
  return keyOf(role, stage, own ? `${OWN}: ${text}` : text, parameters)
}

function keyOf(role: string | undefined, stage: string, text: string, parameters: readonly (string | null)[]): string {
  return JSON.stringify([role, stage, text, ...parameters])
}

function count(keys: readonly string[]): Counts {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}
