import { STATUS_CODES } from 'node:http'
import { Fault } from '../gateway/fault.ts'
import type { Fields } from './fields.ts'

/** The first part of an answer. */
export type Head = { readonly status: number; readonly fields: Fields }

/** Status line and fields as on the wire (RFC 9112 sections 4 and 5), in latin1. */
export function encodeHead({ status, fields }: Head): Buffer {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`, 'latin1')
}

/** The head that `encodeHead` wrote, and what stands behind it. Throws Fault `protocol` for anything else. */
export function decodeHead(bytes: Buffer): Head & { readonly body: Buffer } {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.toString('latin1', 0, Math.max(end, 0)).split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]
  if (status === undefined) throw new Fault('protocol', 'an answer that does not begin with a status line')
  return { status: Number(status), fields: lines.map(fieldOf), body: bytes.subarray(end + 4) }
}

function fieldOf(line: string): readonly [string, string] {
  const colon = line.indexOf(': ')
  if (colon < 1) throw new Fault('protocol', 'a header field without a name')
  return [line.slice(0, colon), line.slice(colon + 2)]
}
