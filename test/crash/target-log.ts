/** A statement as PostgreSQL says in its log that it ran it, or (`prepare`) that it parsed it. */
export type Ran = {
  /** Whom it ran for. */
  readonly role: string
  readonly stage: 'prepare' | 'execute'
  /** Of the prepared statement; undefined in the simple protocol. */
  readonly name: string | undefined
  readonly text: string
  readonly parameters: readonly (string | null)[]
}

/** No statement of a test holds it. */
const MARK = '~at the target~'

/**
 * What makes the server log every statement before it runs, and every Parse once it is done
 * (https://www.postgresql.org/docs/18/runtime-config-logging.html).
 */
export const LOGGING = ['log_statement=all', 'log_min_duration_statement=0', `log_line_prefix=${MARK}%u~`]

const ENTRY = new RegExp(`^${MARK}(?<role>[^~]*)~(?<level>[A-Z]+): {2}(?<message>[^]*)$`)
const RAN = /^(?:statement|execute (?<name>[^:]*)|duration: [\d.]+ ms {2}parse (?<parsed>[^:]*)): (?<text>[^]*)$/

/** The statements in these lines of the server's log, in its order. The first line must begin an entry. */
export function readTargetLog(lines: readonly string[]): readonly Ran[] {
  const all: Ran[] = []
  let before: Ran | undefined
  for (const { role, level, message } of entriesOf(lines)) {
    // It stands directly behind what it is about: the server writes both at once.
    if (level === 'DETAIL') {
      if (before && /^parameters: /i.test(message)) all.push({ ...all.pop()!, parameters: parametersOf(message) })
      continue
    }
    const { name, parsed, text } = (level === 'LOG' && RAN.exec(message)?.groups) || {}
    const stage = parsed === undefined ? 'execute' : 'prepare'
    before = text === undefined ? undefined : { role, stage, name: name ?? parsed, text, parameters: [] }
    if (before) all.push(before)
  }
  return all
}

type Logged = { readonly role: string; readonly level: string; readonly message: string }

/** A line that begins with a tab goes on with the entry before it. */
function* entriesOf(lines: readonly string[]): Generator<Logged> {
  let entry: string | undefined
  for (const line of [...lines, MARK]) {
    if (line.startsWith('\t')) {
      entry += `\n${line.slice(1)}`
      continue
    }
    const { role, level, message } = (entry !== undefined && ENTRY.exec(entry)?.groups) || {}
    if (role !== undefined && level !== undefined && message !== undefined) yield { role, level, message }
    entry = line
  }
}

function parametersOf(detail: string): readonly (string | null)[] {
  const values = detail.matchAll(/\$\d+ = (?:NULL|'((?:[^']|'')*)')/g)
  return Array.from(values, ([, value]) => value?.replaceAll("''", "'") ?? null)
}
