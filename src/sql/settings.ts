import { denied, object, wall, type At } from './findings.ts'

const ON = ['on', 'true', 'yes', '1', 't', 'y', 'tr', 'tru', 'ye']

type Settings = Readonly<Record<string, readonly string[]>>

/** Settings that change how texts are read: they stay as they are, whatever the target is. The lists are as in WALLS. */
const PINS: Settings = {
  standard_conforming_strings: ON,
  backslash_quote: [],
  client_encoding: ['utf8', 'utf-8', 'unicode'],
}

/**
 * Settings that change roles or walls. The lists are the values that change nothing, in lower case; an empty list refuses
 * every value and RESET.
 */
const WALLS: Settings = {
  row_security: ON,
  session_replication_role: [],
  role: [],
  session_authorization: [],
  default_transaction_read_only: ON,
  transaction_read_only: ON,
  session_preload_libraries: [],
  local_preload_libraries: [],
  dynamic_library_path: [],
  extension_control_path: [],
  restrict_nonsystem_relation_kind: [],
}

/** `log_` settings decide what the server's log keeps, `debug_` ones print plans, with their constants, to the client. */
const WALLED_PREFIXES = ['log_', 'debug_']

/** Objects to a change of a walled setting. `value` undefined: RESET, DEFAULT, or not legible. */
export function checkSetting(at: At, name: string, value: string | undefined): void {
  const pinned = Object.hasOwn(PINS, name)
  const harmless = pinned ? PINS[name] : Object.hasOwn(WALLS, name) ? WALLS[name] : undefined
  const walled = harmless !== undefined || WALLED_PREFIXES.some((prefix) => name.startsWith(prefix))
  if (!walled || (value !== undefined && harmless?.includes(value.toLowerCase()))) return
  const objection = denied(`The setting ${name} may not be changed here.`, `leave ${name} as it is`)
  if (pinned) object(at, objection)
  else wall(at, 'setting', objection)
}
