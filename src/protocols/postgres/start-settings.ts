import { hash } from 'node:crypto'
import type { Operation, Refusal, Touch } from '../../gateway/domain.ts'
import { newId } from '../../gateway/ids.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import type { PostgresTarget } from './postgres-target.ts'

/** Settings by name. */
export type Settings = Readonly<Record<string, string>>

/** `name` or `extension.name`, in lower case: a rule about SET sees one and the same name. */
const NAME = /^[a-z][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$/
/** A startup message means something else by these. */
const RESERVED = new Set(['user', 'database', 'options', 'replication'])

/** True for the name of a setting that a startup message can give. */
export function isSetting(name: string): boolean {
  return NAME.test(name) && !RESERVED.has(name)
}

/**
 * The settings in the parameter `options`, as the server reads it (`-c name=value`, `--name=value`; a backslash before
 * blanks and itself); undefined when there is anything else in it.
 */
export function readOptions(options: string): Settings | undefined {
  const words = options.match(/(?:\\[^]|[^\\ \t\n\v\f\r])+/g)?.map((word) => word.replaceAll(/\\([^])/g, '$1')) ?? []
  const settings: Record<string, string> = {}
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [, flag, rest = ''] = /^(-c|--)([^]*)$/.exec(word) ?? []
    if (flag === undefined) return undefined
    const given = flag === '-c' && rest === '' ? (words.shift() ?? '') : rest
    const equals = given.indexOf('=')
    const name = given.slice(0, Math.max(equals, 0)).replaceAll('-', '_').toLowerCase()
    if (!isSetting(name)) return undefined
    settings[name] = given.slice(equals + 1)
  }
  return settings
}

/**
 * Decides on settings given at the start as on SETs, and records them: they are sent with the start, so that RESET comes
 * back to them. The refusal, where there is one.
 */
export async function admitSettings(
  session: Session,
  target: PostgresTarget,
  settings: Settings,
): Promise<Refusal | undefined> {
  const text = Object.entries(settings).map(
    ([name, value]) => `SET "${name.replaceAll('.', '"."')}" = '${value.replaceAll("'", "''")}'`,
  )
  return text.length === 0 ? undefined : session.admit(await read(session, target, text.join('; ')))
}

async function read({ core, opening }: Session, target: PostgresTarget, text: string): Promise<Operation> {
  const { id: caller, hidden, lease } = opening
  const reading = await target.read({ text, target: target.name, hidden, caller }, lease.name)
  const statements = 'objection' in reading ? [] : reading.statements
  const [touch = unknown(target), ...more] = statements.flatMap(({ touches }) => touches)
  return {
    id: newId('op', core.clock.now()),
    stage: 'execute',
    touches: [touch, ...more],
    text,
    digest: hash('sha256', JSON.stringify([target.name, text]), 'hex'),
    effect: 'none',
    inTransaction: false,
    objection: 'objection' in reading ? reading.objection : objectionOf(statements),
  }
}

function objectionOf(
  statements: readonly { readonly node: string; readonly objection?: Refusal }[],
): Refusal | undefined {
  const other = statements.some(({ node }) => node !== 'VariableSetStmt')
  if (other) return refuse('unreadable', 'The settings of the start cannot be read.')
  return statements.find(({ objection }) => objection)?.objection
}

function unknown({ resource }: PostgresTarget): Touch {
  return { action: 'sql.unknown', resource, facts: { unbounded: true, args: {}, own: {} } }
}
