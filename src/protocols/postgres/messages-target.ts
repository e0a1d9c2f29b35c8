import { Fault } from '../../gateway/fault.ts'
import { openBody, type Cursor } from './cursor.ts'
import type { Frame } from './frames.ts'
import { readBackendKey, readFormat } from './messages-client.ts'
import type { BackendKey, Format } from './messages-client.ts'

/**
 * Decoders of what a target says (https://www.postgresql.org/docs/18/protocol-message-formats.html). Each throws Fault
 * `protocol` for a body that is not exactly such a message. A target's text may be in an encoding of its own (before
 * authentication, or in an SQL_ASCII database): what is not UTF-8 reads as U+FFFD.
 */

export type RowField = {
  readonly name: string
  /** 0 when the column does not come straight from a relation. */
  readonly tableOid: number
  readonly columnNumber: number
  readonly typeOid: number
  readonly typeSize: number
  readonly typeModifier: number
  /** 0, not known yet, in the answer to Describe of a statement. */
  readonly format: Format
}

export type TransactionStatus = 'I' | 'T' | 'E'

/** Field code (https://www.postgresql.org/docs/18/protocol-error-fields.html) -> text: `C` SQLSTATE, `M` message. */
export type ErrorFields = ReadonlyMap<string, string>

export type CommandTag = { readonly tag: string; readonly rows?: number }

export type Authentication =
  | { readonly kind: 'Ok' }
  | { readonly kind: 'CleartextPassword' }
  | { readonly kind: 'MD5Password' }
  | { readonly kind: 'SASL'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'SASLContinue'; readonly data: Buffer }
  | { readonly kind: 'SASLFinal'; readonly data: Buffer }
  /** Kerberos, GSSAPI, SSPI and whatever comes: not spoken. */
  | { readonly kind: 'other'; readonly code: number }

export function decodeRowDescription(frame: Frame): RowField[] {
  const cursor = openBody('RowDescription', frame)
  return cursor.ended(cursor.list(19, () => readField(cursor)))
}

function readField(cursor: Cursor): RowField {
  return {
    name: cursor.looseText(),
    tableOid: cursor.uint32(),
    columnNumber: int16(cursor),
    typeOid: cursor.uint32(),
    typeSize: int16(cursor),
    typeModifier: cursor.int32(),
    format: readFormat('RowDescription', cursor),
  }
}

function int16(cursor: Cursor): number {
  return (cursor.uint16() << 16) >> 16
}

export function decodeDataRow(frame: Frame): (Buffer | null)[] {
  const cursor = openBody('DataRow', frame)
  return cursor.ended(cursor.list(4, () => cursor.value()))
}

export function decodeParameterDescription(frame: Frame): number[] {
  const cursor = openBody('ParameterDescription', frame)
  return cursor.ended(cursor.list(4, () => cursor.uint32()))
}

/** ErrorResponse and NoticeResponse. */
export function decodeErrorFields(frame: Frame): ErrorFields {
  const cursor = openBody('ErrorResponse', frame)
  const fields = new Map<string, string>()
  for (let code = cursor.uint8(); code !== 0; code = cursor.uint8())
    fields.set(String.fromCharCode(code), cursor.looseText())
  return cursor.ended(fields)
}

/** `INSERT 0 5`, `SELECT 5`, `CREATE TABLE`: the last word is the count, where there is one. */
export function decodeCommandComplete(frame: Frame): CommandTag {
  const cursor = openBody('CommandComplete', frame)
  const tag = cursor.ended(cursor.looseText())
  const last = tag.slice(tag.lastIndexOf(' ') + 1)
  return /^\d{1,20}$/.test(last) && last !== tag ? { tag, rows: Number(last) } : { tag }
}

/** CopyInResponse and CopyOutResponse: the format of the rows, then of each column. */
export function decodeCopyResponse(frame: Frame): { readonly binary: boolean; readonly formats: readonly Format[] } {
  const cursor = openBody('CopyResponse', frame)
  const format = cursor.uint8()
  if (format > 1) throw new Fault('protocol', 'malformed CopyResponse: no such format')
  const formats = cursor.list(2, () => readFormat('CopyResponse', cursor))
  return cursor.ended({ binary: format === 1, formats })
}

export function decodeReadyForQuery(frame: Frame): TransactionStatus {
  const cursor = openBody('ReadyForQuery', frame)
  const status = String.fromCharCode(cursor.uint8())
  if (status !== 'I' && status !== 'T' && status !== 'E')
    throw new Fault('protocol', 'malformed ReadyForQuery: no such transaction status')
  return cursor.ended(status)
}

export function decodeParameterStatus(frame: Frame): { readonly name: string; readonly value: string } {
  const cursor = openBody('ParameterStatus', frame)
  return cursor.ended({ name: cursor.looseText(), value: cursor.looseText() })
}

export function decodeBackendKeyData(frame: Frame): BackendKey {
  return readBackendKey(openBody('BackendKeyData', frame))
}

export function decodeNotificationResponse(frame: Frame): {
  readonly pid: number
  readonly channel: string
  readonly payload: string
} {
  const cursor = openBody('NotificationResponse', frame)
  return cursor.ended({ pid: cursor.int32(), channel: cursor.looseText(), payload: cursor.looseText() })
}

/** What a function gave; null is SQL NULL. */
export function decodeFunctionCallResponse(frame: Frame): Buffer | null {
  const cursor = openBody('FunctionCallResponse', frame)
  return cursor.ended(cursor.value())
}

/** `version` as PostgreSQL sends it: major and minor in one, 0x30000 for 3.0. */
export function decodeNegotiateProtocolVersion(frame: Frame): {
  readonly version: number
  readonly options: readonly string[]
} {
  const cursor = openBody('NegotiateProtocolVersion', frame)
  const version = cursor.uint32()
  const count = cursor.uint32()
  const options: string[] = []
  while (options.length < count) options.push(cursor.looseText())
  return cursor.ended({ version, options })
}

export function decodeAuthentication(frame: Frame): Authentication {
  const cursor = openBody('Authentication', frame)
  const code = cursor.int32()
  if (code === 0) return cursor.ended({ kind: 'Ok' })
  if (code === 3) return cursor.ended({ kind: 'CleartextPassword' })
  if (code === 5) return { kind: 'MD5Password' }
  if (code === 10) return { kind: 'SASL', mechanisms: readMechanisms(cursor) }
  if (code === 11) return { kind: 'SASLContinue', data: cursor.rest() }
  if (code === 12) return { kind: 'SASLFinal', data: cursor.rest() }
  return { kind: 'other', code }
}

function readMechanisms(cursor: Cursor): string[] {
  const mechanisms: string[] = []
  for (let name = cursor.looseText(); name !== ''; name = cursor.looseText()) mechanisms.push(name)
  return cursor.ended(mechanisms)
}
