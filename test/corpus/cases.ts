import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One line of cases/*.jsonl: README.md says what each key means. */
export type Case = {
  readonly id: string
  readonly category: string
  readonly note: string
  readonly sql: readonly string[]
  readonly role: Role
  readonly expect: string
  readonly also_ok?: readonly string[]
  readonly secret?: readonly string[]
  readonly leak?: readonly string[]
  readonly leak_hex?: readonly string[]
  readonly leak_check?: Channel
  readonly leak_ms?: number
  readonly must_contain?: readonly string[]
  readonly must_not_contain?: readonly string[]
  readonly allow_error?: boolean
  /** A gateway may as well refuse it. */
  readonly policy_dependent?: boolean
  readonly markers?: readonly string[]
  readonly policy?: string
  /** The target itself answers with an error. */
  readonly valid_sql?: boolean
  /** Nothing is sent behind the first refusal. */
  readonly hold_any?: boolean
  readonly mode?: 'simple' | 'extended' | 'fastpath' | 'multi'
  readonly params?: readonly (readonly (string | null)[])[]
  readonly result_format?: 0 | 1
  readonly describe?: boolean
  readonly max_rows?: number
  readonly copy_data?: string
  readonly startup?: Readonly<Record<string, string>>
  readonly setup?: readonly string[]
  readonly cleanup?: readonly string[]
  readonly extensions?: readonly string[]
  readonly needs_idle_session?: string
  readonly reconnect_before?: readonly number[]
  readonly drain_ms?: number
  readonly min_pg?: number
  readonly opaque_ok?: boolean
}

/** Who the statements run as at the target: a session gets exactly this login. */
export type Role = 'agent' | 'owner' | 'monitor' | 'superuser'
/** In which part of the answers a case looks for what it would leak. */
export type Channel = 'stream' | 'joined' | 'names' | 'sqlstate' | 'counts' | 'messages' | 'lengths' | 'timing'

const FOLDER = join(import.meta.dirname, 'cases')

export const load = (file: string): readonly Case[] => lines(file) as readonly Case[]

/** The lines of a file of cases. */
export function lines(file: string): readonly unknown[] {
  return script(file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

export const script = (file: string): string => readFileSync(join(FOLDER, file), 'utf8')

/** What seed_opaque.sql makes of the sensitive values: nothing that a pattern would find. */
const OPAQUE: readonly (readonly [string, string])[] = [
  ['078-05-1120', 'qzv-mk-wren'],
  ['219-09-9999', 'plo-xa-hern'],
  ['ada@example.com', 'ottersleeps.ada'],
  ['grace@example.com', 'ottersleeps.grace'],
  ['4111111111111111', 'fourbirdsinarow1'],
  ['5500005555555559', 'fivebirdsinarow2'],
  ['+1 202 555 0143', 'ring the red hut'],
]

const mapped = (text: string): string => OPAQUE.reduce((all, [plain, opaque]) => all.replaceAll(plain, opaque), text)

/** The cases that mean something with opaque values too, with these in them. */
export function opaque(cases: readonly Case[]): readonly Case[] {
  return cases
    .filter((one) => one.opaque_ok !== false)
    .map((one) => {
      const secret = (one.secret ?? []).map(mapped).filter((text) => !/1815-12-10|202 555/.test(text))
      const leak = one.leak_check === undefined || one.leak_check === 'stream' ? [] : secret
      const idle = one.needs_idle_session
      return {
        ...one,
        sql: one.sql.map(mapped),
        secret,
        leak,
        leak_hex: [],
        ...(one.setup && { setup: one.setup.map(mapped) }),
        ...(idle !== undefined && { needs_idle_session: mapped(idle) }),
      }
    })
}
