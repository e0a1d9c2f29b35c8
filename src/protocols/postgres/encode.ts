import { Fault } from '../../gateway/fault.ts'
import { BACKEND, FRONTEND, STARTUP } from './message-types.ts'
import type { BackendKey, Format } from './messages-client.ts'
import type { TransactionStatus } from './messages-target.ts'

/**
 * Everything the gateway itself says, to either side, as whole messages
 * (https://www.postgresql.org/docs/18/protocol-message-formats.html). A NUL inside a string would end it early and turn
 * the rest into other fields: it throws Fault `protocol`; in error fields it becomes U+FFFD.
 */

function message(type: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(5)
  header[0] = type
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

function untyped(code: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat([int32(code), ...parts])
  return Buffer.concat([int32(body.length + 4), body])
}

function text(value: string): Buffer {
  if (value.includes('\0')) throw new Fault('protocol', 'a NUL in a string for the wire')
  return Buffer.from(`${value}\0`, 'utf8')
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

function list<Item>(items: readonly Item[], encode: (item: Item) => Buffer): Buffer {
  return Buffer.concat([int16(items.length), ...items.map(encode)])
}

function value(bytes: Buffer | null): Buffer {
  return bytes === null ? int32(-1) : Buffer.concat([int32(bytes.length), bytes])
}

/** Field code -> text, in this order: `{ S: 'ERROR', V: 'ERROR', C: '42501', M: 'permission denied' }`. */
export type EncodedErrorFields = Readonly<Record<string, string>>

function errorFields(fields: EncodedErrorFields): Buffer {
  const parts = Object.entries(fields).map(([code, field]) =>
    Buffer.concat([Buffer.from(code, 'latin1'), text(field.replaceAll('\0', '\uFFFD'))]),
  )
  return Buffer.concat([...parts, Buffer.alloc(1)])
}

// To the client.

export function encodeErrorResponse(fields: EncodedErrorFields): Buffer {
  return message(BACKEND.ErrorResponse, errorFields(fields))
}

export function encodeNoticeResponse(fields: EncodedErrorFields): Buffer {
  return message(BACKEND.NoticeResponse, errorFields(fields))
}

export function encodeReadyForQuery(status: TransactionStatus): Buffer {
  return message(BACKEND.ReadyForQuery, Buffer.from(status, 'latin1'))
}

export function encodeAuthenticationOk(): Buffer {
  return message(BACKEND.Authentication, int32(0))
}

export function encodeAuthenticationCleartextPassword(): Buffer {
  return message(BACKEND.Authentication, int32(3))
}

export function encodeAuthenticationSasl(mechanisms: readonly string[]): Buffer {
  return message(BACKEND.Authentication, int32(10), ...mechanisms.map(text), Buffer.alloc(1))
}

export function encodeAuthenticationSaslContinue(data: Buffer): Buffer {
  return message(BACKEND.Authentication, int32(11), data)
}

export function encodeAuthenticationSaslFinal(data: Buffer): Buffer {
  return message(BACKEND.Authentication, int32(12), data)
}

export function encodeParameterStatus(name: string, setting: string): Buffer {
  return message(BACKEND.ParameterStatus, text(name), text(setting))
}

export function encodeBackendKeyData({ pid, key }: BackendKey): Buffer {
  return message(BACKEND.BackendKeyData, int32(pid), key)
}

/** `minor`: the newest of version 3 that is spoken; `options`: the `_pq_.` parameters that are not known. */
export function encodeNegotiateProtocolVersion(minor: number, options: readonly string[]): Buffer {
  return message(
    BACKEND.NegotiateProtocolVersion,
    int32((3 << 16) | minor),
    int32(options.length),
    ...options.map(text),
  )
}

export function encodeNotificationResponse(pid: number, channel: string, payload: string): Buffer {
  return message(BACKEND.NotificationResponse, int32(pid), text(channel), text(payload))
}

export function encodeCopyData(data: Buffer): Buffer {
  return message(BACKEND.CopyData, data)
}

export function encodeParseComplete(): Buffer {
  return message(BACKEND.ParseComplete)
}

export function encodeBindComplete(): Buffer {
  return message(BACKEND.BindComplete)
}

export function encodeCloseComplete(): Buffer {
  return message(BACKEND.CloseComplete)
}

export function encodeEmptyQueryResponse(): Buffer {
  return message(BACKEND.EmptyQueryResponse)
}

// To the target.

export function encodeStartup(parameters: Iterable<readonly [string, string]>, minor = 0): Buffer {
  const pairs = [...parameters].flatMap(([name, setting]) => [text(name), text(setting)])
  return untyped((3 << 16) | minor, ...pairs, Buffer.alloc(1))
}

export function encodeSslRequest(): Buffer {
  return untyped(STARTUP.SSLRequest)
}

export function encodeCancelRequest({ pid, key }: BackendKey): Buffer {
  return untyped(STARTUP.CancelRequest, int32(pid), key)
}

export function encodeSaslInitialResponse(mechanism: string, data: Buffer): Buffer {
  return message(FRONTEND.PasswordMessage, text(mechanism), value(data))
}

export function encodeSaslResponse(data: Buffer): Buffer {
  return message(FRONTEND.PasswordMessage, data)
}

export function encodeQuery(query: string): Buffer {
  return message(FRONTEND.Query, text(query))
}

export function encodeParse(name: string, query: string, types: readonly number[] = []): Buffer {
  return message(FRONTEND.Parse, text(name), text(query), list(types, int32))
}

export function encodeBind(bind: {
  readonly portal: string
  readonly statement: string
  readonly formats?: readonly Format[]
  readonly parameters?: readonly (Buffer | null)[]
  readonly resultFormats?: readonly Format[]
}): Buffer {
  const { portal, statement, formats = [], parameters = [], resultFormats = [] } = bind
  return message(
    FRONTEND.Bind,
    text(portal),
    text(statement),
    list(formats, int16),
    list(parameters, value),
    list(resultFormats, int16),
  )
}

export function encodeDescribe(kind: 'S' | 'P', name: string): Buffer {
  return message(FRONTEND.Describe, Buffer.from(kind, 'latin1'), text(name))
}

export function encodeClose(kind: 'S' | 'P', name: string): Buffer {
  return message(FRONTEND.Close, Buffer.from(kind, 'latin1'), text(name))
}

/** `maxRows` 0 is no limit. */
export function encodeExecute(portal: string, maxRows = 0): Buffer {
  return message(FRONTEND.Execute, text(portal), int32(maxRows))
}

export function encodeSync(): Buffer {
  return message(FRONTEND.Sync)
}

export function encodeFlush(): Buffer {
  return message(FRONTEND.Flush)
}

export function encodeTerminate(): Buffer {
  return message(FRONTEND.Terminate)
}
