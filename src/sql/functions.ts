import {
  EFFECT_FUNCTIONS,
  HARMLESS_FUNCTIONS,
  OPAQUE_FUNCTIONS,
  SET_RETURNING_FUNCTIONS,
  VOLATILE_FUNCTIONS,
} from './builtin-functions.ts'
import { denied, object, touch, wall, type At } from './findings.ts'
import { useLargeObject, usesLargeObjects } from './large-objects.ts'
import { touchReached } from './reaching-calls.ts'
import { targetResource } from './relations.ts'
import { checkSetting } from './settings.ts'
import { as, constantText, parts, type Body, type Node } from './tree.ts'

/** True when the call can only be to this built-in: the name is qualified, or nothing outside pg_catalog has it. */
function isBuiltin(at: At, name: readonly string[], list: ReadonlySet<string>): boolean {
  const bare = name.at(-1) ?? ''
  if (!list.has(bare) || name.length > 2) return false
  if (name.length === 2) return name[0] === 'pg_catalog'
  return !isOwnFunction(at, bare)
}

/** True when something outside pg_catalog has the name, or may have it since the catalog was read. */
function isOwnFunction(at: At, name: string): boolean {
  return at.names.catalog.functions.has(name) || at.names.changed.has(`${name}()`)
}

export function isHarmless(at: At, name: readonly string[]): boolean {
  return isBuiltin(at, name, HARMLESS_FUNCTIONS)
}

/**
 * True when every function that the name may mean gives the same for the same arguments, within one statement. What is
 * not harmless is not looked into: it counts as volatile.
 */
export function isStable(at: At, name: readonly string[]): boolean {
  const bare = name.at(-1) ?? ''
  if (isHarmless(at, name)) return !VOLATILE_FUNCTIONS.has(bare)
  const builtin =
    name.length === 1 && [EFFECT_FUNCTIONS, OPAQUE_FUNCTIONS, VOLATILE_FUNCTIONS].some((each) => each.has(bare))
  if (builtin || name[0] === 'pg_catalog' || at.names.changed.has(`${bare}()`)) return false
  return at.names.catalog.stableFunctions.has(bare)
}

/** True unless no function that the name may mean returns a set. */
export function mayReturnSet(at: At, name: readonly string[]): boolean {
  const bare = name.at(-1) ?? ''
  const builtin = SET_RETURNING_FUNCTIONS.has(bare) || OPAQUE_FUNCTIONS.has(bare)
  return builtin || at.names.catalog.setFunctions.has(bare) || at.names.changed.has(`${bare}()`)
}

/** A call by name: nothing for the harmless ones, `sql.lo_…` for large objects, `sql.call` for the rest. */
export function callFunction(at: At, name: readonly string[], args: readonly Node[] = []): void {
  const text = (name[0] === 'pg_catalog' ? name.slice(1) : name).join('.').toLowerCase()
  noteCall(at, name, text)
  touchReached(at, name, args)
  if (isHarmless(at, name)) return
  if (usesLargeObjects(text) && isBuiltin(at, name, OPAQUE_FUNCTIONS)) return useLargeObject(at, text, args)
  touch(at, 'sql.call', targetResource(at.names), { args: { '/function': text } })
  if (isBuiltin(at, name, EFFECT_FUNCTIONS)) return
  at.findings.changesSearchPath = true
  objectToUnknown(at, `Function ${text}`)
}

function noteCall(at: At, name: readonly string[], text: string): void {
  at.findings.functions.add(text)
  if (!isStable(at, name)) at.findings.volatile.add(text)
}

/** `row.name` and `(row).name` call the function `name` when the row has no such column. */
export function callAsAttribute(at: At, name: string): void {
  const known = isOwnFunction(at, name) || EFFECT_FUNCTIONS.has(name) || OPAQUE_FUNCTIONS.has(name)
  if (known) callFunction(at, [name])
}

/** True when an operator outside pg_catalog has the symbol, or may have it since the catalog was read. */
export function isOwnOperator(at: At, symbol: string): boolean {
  return at.names.catalog.operators.has(symbol) || at.names.changed.has(`${symbol}()`)
}

/** An operator outside pg_catalog, or one that may be, runs somebody's function. */
export function useOperator(at: At, name: readonly string[]): void {
  const foreign = name.length > 1 ? name[0] !== 'pg_catalog' : isOwnOperator(at, name.at(-1) ?? '')
  if (!foreign) return
  touch(at, 'sql.call', targetResource(at.names), { args: { '/operator': name.join('.') } })
  objectToUnknown(at, `Operator ${name.join('.')}`)
}

/** CALL: procedures are never built in. */
export function callProcedure(at: At, name: readonly string[]): void {
  const text = name.join('.').toLowerCase()
  noteCall(at, name, text)
  at.findings.changesSearchPath = true
  touch(at, 'sql.call', targetResource(at.names), { args: { '/function': text } })
  objectToUnknown(at, `Procedure ${text}`)
}

function objectToUnknown(at: At, subject: string): void {
  if (at.hidden.columns.size === 0) return
  at.findings.touchesHidden = true
  object(
    at,
    denied(`${subject} may show columns that are masked for you.`, 'use built-in functions and operators only'),
  )
}

/** set_config is SET in another form: the same settings are refused, and which one it is has to be legible. */
export function checkSetConfig(at: At, call: Body<'FuncCall'>): void {
  if (parts(call.funcname).at(-1) !== 'set_config') return
  at.findings.changesSearchPath = true
  const setting = constantText(argument(call, 0, 'setting_name'))?.toLowerCase()
  const value = constantText(argument(call, 1, 'new_value'))
  const action = /^(role|session_authorization)$/.test(setting ?? '') ? 'sql.set_role' : 'sql.set'
  touch(at, action, targetResource(at.names), { args: { '/name': setting ?? '*', '/value': value ?? '*' } })
  if (setting !== undefined) checkSetting(at, setting, value)
  else wall(at, 'setting', denied('set_config needs the name of the setting as a plain string.', 'use SET'))
}

/** An argument by its name or its place. */
function argument(call: Body<'FuncCall'>, place: number, name: string): Node | undefined {
  const args = call.args ?? []
  const named = args.map((arg) => as('NamedArgExpr', arg)).find((arg) => arg?.name === name)
  return named?.arg ?? args[place]
}
