import { Fault } from '../../gateway/fault.ts'
import { Cursor, openBody } from './cursor.ts'
import { body } from './frames.ts'
import type { Frame } from './frames.ts'
import { STARTUP } from './message-types.ts'

/**
 * Decoders of what a client says (https://www.postgresql.org/docs/18/protocol-message-formats.html). Each throws Fault
 * `protocol` for a body that is not exactly such a message; text is strict UTF-8, byte for byte what was sent.
 */

/** 0 is text, 1 is binary. */
export type Format = 0 | 1

/** Which backend to cancel; `key` has 4 bytes in protocol 3.0, up to 256 in 3.2. */
export type BackendKey = { readonly pid: number; readonly key: Buffer }

export type StartupPacket =
  | { readonly kind: 'SSLRequest' | 'GSSENCRequest' }
  | ({ readonly kind: 'CancelRequest' } & BackendKey)
  | {
      readonly kind: 'StartupMessage'
      readonly minor: number
      /** In the order sent, repeated names included: the last one counts at the server. */
      readonly parameters: readonly (readonly [name: string, value: string])[]
    }

export type Parse = { readonly name: string; readonly query: string; readonly types: readonly number[] }
export type Bind = {
  readonly portal: string
  readonly statement: string
  /** Of the parameters: none (all text), one for all, or one for each. */
  readonly formats: readonly Format[]
  readonly parameters: readonly (Buffer | null)[]
  readonly resultFormats: readonly Format[]
}
export type Named = { readonly kind: 'S' | 'P'; readonly name: string }
/** `maxRows` below 1 is no limit. */
export type Execute = { readonly portal: string; readonly maxRows: number }
export type FunctionCall = {
  /** OID of the function. */
  readonly routine: number
  /** Of the arguments, as in Bind. */
  readonly formats: readonly Format[]
  readonly parameters: readonly (Buffer | null)[]
  readonly resultFormat: Format
}
export type SaslInitialResponse = { readonly mechanism: string; readonly data: Buffer | null }

/** `bytes` as `startupFrame` gives them. Only major version 3 is known. */
export function decodeStartup(bytes: Buffer): StartupPacket {
  const cursor = new Cursor('startup message', bytes, 4)
  const code = cursor.uint32()
  if (code === STARTUP.SSLRequest) return cursor.ended({ kind: 'SSLRequest' })
  if (code === STARTUP.GSSENCRequest) return cursor.ended({ kind: 'GSSENCRequest' })
  if (code === STARTUP.CancelRequest) return { kind: 'CancelRequest', ...readBackendKey(cursor) }
  if (code >>> 16 !== 3)
    throw new Fault('protocol', `protocol version ${code >>> 16}.${code & 0xffff} is not supported`)
  return { kind: 'StartupMessage', minor: code & 0xffff, parameters: readParameters(cursor) }
}

function readParameters(cursor: Cursor): (readonly [string, string])[] {
  const parameters: (readonly [string, string])[] = []
  for (;;) {
    const name = cursor.text()
    if (name === '') return cursor.ended(parameters)
    parameters.push([name, cursor.text()])
  }
}

/** The body of CancelRequest and of BackendKeyData. */
export function readBackendKey(cursor: Cursor): BackendKey {
  const pid = cursor.int32()
  const key = cursor.rest()
  if (key.length < 4 || key.length > 256) throw new Fault('protocol', `a cancel key has ${key.length} bytes`)
  return { pid, key }
}

export function decodeQuery(frame: Frame): string {
  const cursor = openBody('Query', frame)
  return cursor.ended(cursor.text())
}

export function decodeParse(frame: Frame): Parse {
  const cursor = openBody('Parse', frame)
  return cursor.ended({ name: cursor.text(), query: cursor.text(), types: cursor.list(4, () => cursor.uint32()) })
}

export function decodeBind(frame: Frame): Bind {
  const cursor = openBody('Bind', frame)
  const format = () => readFormat('Bind', cursor)
  const bind = {
    portal: cursor.text(),
    statement: cursor.text(),
    formats: cursor.list(2, format),
    parameters: cursor.list(4, () => cursor.value()),
    resultFormats: cursor.list(2, format),
  }
  checkFormats('Bind', bind)
  return cursor.ended(bind)
}

export function decodeFunctionCall(frame: Frame): FunctionCall {
  const cursor = openBody('FunctionCall', frame)
  const format = () => readFormat('FunctionCall', cursor)
  const call = {
    routine: cursor.uint32(),
    formats: cursor.list(2, format),
    parameters: cursor.list(4, () => cursor.value()),
    resultFormat: format(),
  }
  checkFormats('FunctionCall', call)
  return cursor.ended(call)
}

function checkFormats(message: string, { formats, parameters }: Pick<Bind, 'formats' | 'parameters'>): void {
  if (formats.length > 1 && formats.length !== parameters.length)
    throw new Fault('protocol', `malformed ${message}: ${formats.length} formats for ${parameters.length} parameters`)
}

/** The format of one of the parameters. */
export function formatOf({ formats }: Pick<Bind, 'formats'>, place: number): Format {
  return (formats.length === 1 ? formats[0] : formats[place]) ?? 0
}

/** A format code; any but 0 and 1 throws Fault `protocol`. */
export function readFormat(name: string, cursor: Cursor): Format {
  const format = cursor.uint16()
  if (format !== 0 && format !== 1) throw new Fault('protocol', `malformed ${name}: format code ${format}`)
  return format
}

export function decodeDescribe(frame: Frame): Named {
  return decodeNamed('Describe', frame)
}

export function decodeClose(frame: Frame): Named {
  return decodeNamed('Close', frame)
}

function decodeNamed(message: string, frame: Frame): Named {
  const cursor = openBody(message, frame)
  const kind = String.fromCharCode(cursor.uint8())
  if (kind !== 'S' && kind !== 'P') throw new Fault('protocol', `malformed ${message}: neither statement nor portal`)
  return cursor.ended({ kind, name: cursor.text() })
}

export function decodeExecute(frame: Frame): Execute {
  const cursor = openBody('Execute', frame)
  return cursor.ended({ portal: cursor.text(), maxRows: cursor.int32() })
}

export function decodePassword(frame: Frame): string {
  const cursor = openBody('PasswordMessage', frame)
  return cursor.ended(cursor.text())
}

export function decodeSaslInitialResponse(frame: Frame): SaslInitialResponse {
  const cursor = openBody('SASLInitialResponse', frame)
  return cursor.ended({ mechanism: cursor.text(), data: cursor.value() })
}

/** All of the body is SASL data. */
export function decodeSaslResponse(frame: Frame): Buffer {
  return body(frame)
}

export function decodeCopyFail(frame: Frame): string {
  const cursor = openBody('CopyFail', frame)
  return cursor.ended(cursor.text())
}

/** Sync, Flush, Terminate and CopyDone have no body. */
export function decodeEmpty(frame: Frame): void {
  openBody('message without content', frame).ended(undefined)
}
