import { isUtf8 } from 'node:buffer'
import type { Effect, Refusal, Touch } from '../../gateway/domain.ts'
import type { Exchange } from '../../gateway/exchange.ts'
import { refuse } from '../../gateway/refusals.ts'
import { soon, type Soon } from '../../gateway/source.ts'
import { hiddenInLargeObjects, largeObjectActions, objectPlace, showsLargeObject } from '../../sql/large-objects.ts'
import type { Connection } from './connection.ts'
import { creationObjection } from './creations.ts'
import { CALL } from './descriptors.ts'
import { PostgresExchange, type Outgoing } from './exchanges.ts'
import type { Frame } from './frames.ts'
import { BACKEND } from './message-types.ts'
import { decodeFunctionCall, formatOf, type FunctionCall } from './messages-client.ts'
import { decodeFunctionCallResponse } from './messages-target.ts'
import { operationOf, unreadable, type Understood } from './operations.ts'
import { senseOf } from './sense.ts'

type ArgumentType = 'oid' | 'int4' | 'int8' | 'bytea'

/** What a FunctionCall may call ("Large Objects", Client Interfaces): the functions behind libpq's, by their arguments. */
const CALLS: ReadonlyMap<string, readonly ArgumentType[]> = new Map<string, readonly ArgumentType[]>([
  ['lo_creat', ['int4']],
  ['lo_create', ['oid']],
  ['lo_open', ['oid', 'int4']],
  ['lo_close', ['int4']],
  ['lo_lseek', ['int4', 'int4', 'int4']],
  ['lo_lseek64', ['int4', 'int8', 'int4']],
  ['lo_tell', ['int4']],
  ['lo_tell64', ['int4']],
  ['lo_truncate', ['int4', 'int4']],
  ['lo_truncate64', ['int4', 'int8']],
  ['lo_unlink', ['oid']],
  ['loread', ['int4', 'int4']],
  ['lowrite', ['int4', 'bytea']],
])

/** A call whose function and arguments are known. */
type Call = {
  readonly name: string
  readonly args: readonly string[]
  /** The OID of the object it is about, where that is known; its descriptor, where it is behind one. */
  readonly oid?: string
  readonly descriptor?: number
}

/** An operation like a Query: one function of large objects, named by its OID at the target ("Function Call"). */
export function readFunctionCall(connection: Connection, frame: Frame): Soon<Exchange> {
  const message = decodeFunctionCall(frame)
  return soon(connection.target.catalog.largeObjectFunction(message.routine), (name) => {
    const args = name === undefined ? undefined : argumentsOf(name, message)
    if (name === undefined || args === undefined) return refused(connection, message, name)
    // What a descriptor stands for may be in an answer that is on its way.
    const certain = isBehindDescriptor(name) && !connection.answers.quiet ? connection.caughtUp() : undefined
    return soon(certain, () => exchangeOf(connection, frame, message, callOf(connection, name, args)))
  })
}

function isBehindDescriptor(name: string): boolean {
  return objectPlace(name) === undefined && name !== 'lo_creat'
}

function callOf({ descriptors }: Connection, name: string, args: readonly string[]): Call {
  const place = objectPlace(name)
  if (place !== undefined) return { name, args, oid: args[place] }
  if (!isBehindDescriptor(name)) return { name, args }
  const descriptor = Number(args[0])
  return { name, args, descriptor, oid: descriptors.objectOf(descriptor) }
}

/** In readable form; undefined when these are not what the function takes. */
function argumentsOf(name: string, message: FunctionCall): readonly string[] | undefined {
  const types = CALLS.get(name)
  if (types?.length !== message.parameters.length) return undefined
  const read = types.map((type, place) => readArgument(type, message, place))
  return read.every((argument) => argument !== undefined) ? read : undefined
}

function readArgument(type: ArgumentType, message: FunctionCall, place: number): string | undefined {
  const value = message.parameters[place]
  const binary = formatOf(message, place) === 1
  if (!value) return undefined
  if (type === 'bytea' && binary) return `\\x${value.toString('hex')}`
  if (!binary) return readText(type, value)
  if (value.length !== (type === 'int8' ? 8 : 4)) return undefined
  if (type === 'int8') return String(value.readBigInt64BE())
  return String(type === 'oid' ? value.readUInt32BE() : value.readInt32BE())
}

/** Of numbers only the plainest form: all that PostgreSQL would take of others is not needed. */
function readText(type: ArgumentType, value: Buffer): string | undefined {
  const text = value.toString('utf8')
  if (type === 'bytea') return isUtf8(value) ? text : undefined
  return (type === 'oid' ? /^(0|[1-9]\d{0,9})$/ : /^(0|-?[1-9]\d{0,18})$/).test(text) ? text : undefined
}

function exchangeOf(connection: Connection, frame: Frame, message: FunctionCall, call: Call): Exchange {
  const understood = understoodOf(connection, call)
  const outgoing: Outgoing = {
    bytes: frame.bytes,
    sent: 'FunctionCall',
    frame: call.name === 'lo_open' ? openedBy(connection, message, call) : undefined,
  }
  const bound = { prepared: { text: understood.text }, parameters: call.args, formats: message.formats, started: true }
  const operation = operationOf(connection, understood, 'execute', bound)
  return new PostgresExchange(connection, { style: 'simple', messages: [outgoing], operation, sense: understood })
}

function openedBy({ descriptors }: Connection, { resultFormat }: FunctionCall, { oid }: Call): Outgoing['frame'] {
  return (frame) => {
    if (frame.type !== BACKEND.FunctionCallResponse || oid === undefined) return
    const value = decodeFunctionCallResponse(frame)
    if (resultFormat === 0) descriptors.opened(Number(value), oid)
    else if (value?.length === 4) descriptors.opened(value.readInt32BE(), oid)
  }
}

/** Descriptors are the session's own: what is approved of one holds for no other session. */
function understoodOf(connection: Connection, call: Call): Understood {
  const touches = touchesOf(connection.target.resource, call)
  const writes = touches.some(({ action }) => action === 'sql.lo_write')
  const effects: readonly Effect[] = writes ? ['final', 'revocable'] : ['none', 'none']
  const objection = objectionTo(connection, call, touches)
  return {
    ...senseOf({ statements: [], touches, objection, used: [], usedTexts: [], hides: [] }),
    effect: effects[0]!,
    effectInBlock: effects[1]!,
    harmlessTexts: true,
    isTemporary: call.descriptor !== undefined,
    text: textOf(call),
    proposals: [],
  }
}

function touchesOf(resource: Touch['resource'], { name, args, oid }: Call): readonly Touch[] {
  const mode = name === 'lo_open' ? Number(args[1]) : undefined
  const named = { '/function': name, ...(oid !== undefined && { '/oid': oid }) }
  const own = { has_where: false, functions: [name], volatile_functions: [name], predicates: [] }
  const facts = { unbounded: false, args: named, own }
  return largeObjectActions(name, mode).map((action) => ({ action, resource, facts }))
}

function objectionTo({ session, target }: Connection, { name }: Call, touches: readonly Touch[]): Refusal | undefined {
  if (showsLargeObject(name) && session.opening.hidden.length > 0) return hiddenInLargeObjects(name)
  return creationObjection(target, touches)
}

function textOf({ name, args, oid, descriptor }: Call): string {
  const call = `${CALL}${name}(${args.map((_, place) => `$${place + 1}`).join(', ')})`
  if (descriptor === undefined) return call
  return `${call} on ${oid === undefined ? 'a large object that is not known' : `large object ${oid}`}`
}

/** Any other function, or arguments that it does not take: nothing is sent. */
function refused(connection: Connection, { routine, parameters }: FunctionCall, name: string | undefined): Exchange {
  const what = name === undefined || !CALLS.has(name) ? 'that function' : 'these arguments'
  const message = `A FunctionCall of ${name ?? `the function with OID ${routine}`}: ${what} is not taken outside SQL.`
  const objection = refuse('unreadable', message, [{ do: 'change', hint: 'Call the function in a SELECT.' }])
  const text = `${CALL}${name ?? routine} with ${parameters.length} arguments`
  const understood = unreadable(connection.target.resource, text, { objection })
  const operation = operationOf(connection, understood, 'execute')
  return new PostgresExchange(connection, { style: 'simple', messages: [], operation })
}
