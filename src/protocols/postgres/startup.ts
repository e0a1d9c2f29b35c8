import type { Identity, Refusal, SessionId } from '../../gateway/domain.ts'
import { refuse } from '../../gateway/refusals.ts'
import { isSetting, readOptions, type Settings } from './start-settings.ts'

/** What a client asks for when it starts: which target, and settings for the session. */
export type Start = {
  readonly target: string
  /** Absent: the one that the target names. */
  readonly database?: string
  readonly application?: string
  /** The client's name and how values look: taken from everybody. */
  readonly settings: Settings
  /** Every other setting: decided like a SET. */
  readonly asked: Settings
}

/** Settings that every client may give at the start: its name and how values look, never what statements mean or may do. */
const SETTINGS = new Set(['application_name', 'datestyle', 'timezone', 'intervalstyle', 'extra_float_digits'])
const NO = new Set(['false', 'off', 'no', '0'])
const UTF8 = new Set(['utf8', 'utf-8', 'unicode', 'auto'])

/** Reads the startup parameters, or says which of them is not taken. */
export function readStart(parameters: ReadonlyMap<string, string>): Start | { readonly refusal: Refusal } {
  const settings: Record<string, string> = {}
  const asked: Record<string, string> = {}
  for (const [given, value] of withOptions(parameters)) {
    const name = given.toLowerCase()
    if (given === 'user' || given === 'database') continue
    if (name === 'client_encoding' && UTF8.has(value.toLowerCase().replaceAll("'", ''))) continue
    if (name === 'replication' && NO.has(value.toLowerCase())) continue
    if (name === 'client_encoding' || !isSetting(name)) return { refusal: notTaken(given) }
    if (SETTINGS.has(name)) settings[name] = value
    else asked[name] = value
  }
  const named = parameters.get('database') ?? parameters.get('user') ?? ''
  const dot = named.indexOf('.')
  const place = dot < 0 ? { target: named } : { target: named.slice(0, dot), database: named.slice(dot + 1) }
  return { ...place, application: settings['application_name'], settings, asked }
}

/** Settings in `options` first: those with a parameter of their own count more, as they do at the server. */
function withOptions(parameters: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
  const { options, ...rest } = Object.fromEntries(parameters)
  const settings = readOptions(options ?? '')
  return [...(settings ? Object.entries(settings) : [['options', options ?? ''] as const]), ...Object.entries(rest)]
}

function notTaken(name: string): Refusal {
  return refuse('denied', `The startup parameter ${name} is not taken.`, [{ do: 'change', hint: 'Leave it out.' }])
}

/** A session's own `application_name`: agent, person and session, in the 63 bytes there are. */
export function sessionName(identity: Identity, session: SessionId): string {
  const printable = (text: string): string => text.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 12)
  const person = identity.onBehalfOf?.subject ?? identity.person
  const id = session.slice('ses_'.length).replaceAll('-', '')
  return ['sp', printable(identity.subject), ...(person ? [printable(person)] : []), id].join(' ')
}
