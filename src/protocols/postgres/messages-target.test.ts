import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { dataRow, error, frame, join, ready, rowDescription, str, u16, u32, u8 } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Frame } from './frames.ts'
import {
  decodeAuthentication,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeDataRow,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  decodeNotificationResponse,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
} from './messages-target.ts'

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'
const asFrame = (bytes: Buffer): Frame => ({ type: bytes[0]!, bytes })
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''))

describe('decoders of target messages', () => {
  it('read RowDescription', () => {
    const [field] = decodeRowDescription(
      asFrame(rowDescription({ name: 'é', table: 0xfffffff0, column: -7, type: 1700, format: 1 })),
    )
    assert.deepEqual(field, {
      name: 'é',
      tableOid: 0xfffffff0,
      columnNumber: -7,
      typeOid: 1700,
      typeSize: -1,
      typeModifier: -1,
      format: 1,
    })
    assert.deepEqual(decodeRowDescription(asFrame(rowDescription())), [])
  })

  it('read DataRow with NULL and empty values apart', () => {
    assert.deepEqual(decodeDataRow(asFrame(dataRow('a', null, ''))), [Buffer.from('a'), null, Buffer.alloc(0)])
  })

  it('read error fields, those not known included', () => {
    fc.assert(
      fc.property(text, text, (message, other) => {
        const fields = decodeErrorFields(asFrame(error({ S: 'ERROR', C: '42P01', M: message, z: other })))
        assert.deepEqual(Object.fromEntries(fields), { S: 'ERROR', C: '42P01', M: message, z: other })
      }),
    )
  })

  it('read what is not UTF-8 with replacement characters', () => {
    const latin1 = frame('E', u8(0x4d), Buffer.from('fehlgeschl\xe4gt\0\0', 'latin1'))
    assert.equal(decodeErrorFields(asFrame(latin1)).get('M'), 'fehlgeschl\uFFFDgt')
  })

  it('take the row count from the command tag', () => {
    const rows = (tag: string) => decodeCommandComplete(asFrame(frame('C', str(tag)))).rows
    assert.equal(rows('SELECT 12'), 12)
    assert.equal(rows('INSERT 0 3'), 3)
    assert.equal(rows('COPY 0'), 0)
    assert.equal(rows('CREATE TABLE'), undefined)
    assert.equal(rows('12'), undefined)
  })

  it('read the small ones', () => {
    assert.equal(decodeReadyForQuery(asFrame(ready('T'))), 'T')
    assert.deepEqual(decodeParameterStatus(asFrame(frame('S', str('TimeZone'), str('UTC')))), {
      name: 'TimeZone',
      value: 'UTC',
    })
    const key = Buffer.alloc(32, 9)
    assert.deepEqual(decodeBackendKeyData(asFrame(frame('K', u32(12), key))), { pid: 12, key })
    assert.deepEqual(decodeNotificationResponse(asFrame(frame('A', u32(3), str('c'), str('p')))), {
      pid: 3,
      channel: 'c',
      payload: 'p',
    })
    assert.deepEqual(decodeParameterDescription(asFrame(frame('t', u16(2), u32(23), u32(25)))), [23, 25])
    const negotiate = frame('v', u32(0x30000), u32(1), str('_pq_.x'))
    assert.deepEqual(decodeNegotiateProtocolVersion(asFrame(negotiate)), { version: 0x30000, options: ['_pq_.x'] })
  })

  it('read every kind of Authentication', () => {
    const read = (...pieces: Buffer[]) => decodeAuthentication(asFrame(frame('R', ...pieces)))
    assert.deepEqual(read(u32(0)), { kind: 'Ok' })
    assert.deepEqual(read(u32(3)), { kind: 'CleartextPassword' })
    assert.deepEqual(read(u32(5), u32(1)), { kind: 'MD5Password' })
    const mechanisms = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']
    assert.deepEqual(read(u32(10), ...mechanisms.map(str), u8(0)), { kind: 'SASL', mechanisms })
    assert.deepEqual(read(u32(11), Buffer.from('r=')), { kind: 'SASLContinue', data: Buffer.from('r=') })
    assert.deepEqual(read(u32(12), Buffer.from('v=')), { kind: 'SASLFinal', data: Buffer.from('v=') })
    assert.deepEqual(read(u32(7)), { kind: 'other', code: 7 })
  })

  it('refuse a body that is not exactly the message', () => {
    const broken: readonly [(frame: Frame) => unknown, Buffer][] = [
      [decodeRowDescription, frame('T', u16(1), str('a'))],
      [decodeRowDescription, rowDescription({ format: 2 })],
      [decodeRowDescription, frame('T', u16(65535))],
      [decodeDataRow, frame('D', u16(1), u32(-2))],
      [decodeDataRow, frame('D', u16(1), u32(2), Buffer.from('a'))],
      [decodeErrorFields, frame('E', u8(0x4d), str('no terminator'))],
      [decodeErrorFields, frame('E', u8(0), u8(0))],
      [decodeReadyForQuery, ready('X')],
      [decodeReadyForQuery, ready('II')],
      [decodeBackendKeyData, frame('K', u32(12), u16(0))],
      [decodeNegotiateProtocolVersion, frame('v', u32(0x30000), u32(0x7fffffff))],
      [decodeAuthentication, frame('R', u32(0), u8(0))],
      [decodeAuthentication, frame('R', u32(10), str('SCRAM-SHA-256'))],
    ]
    for (const [decode, message] of broken)
      assert.throws(() => decode(asFrame(message)), isProtocolFault, message.toString('latin1'))
  })

  it('throw nothing but a protocol fault for any body', () => {
    const decoders = [
      decodeRowDescription,
      decodeDataRow,
      decodeErrorFields,
      decodeCommandComplete,
      decodeReadyForQuery,
      decodeParameterStatus,
      decodeBackendKeyData,
      decodeNotificationResponse,
      decodeNegotiateProtocolVersion,
      decodeAuthentication,
    ]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 1, 10, 12), (content, first) => {
        for (const decode of decoders)
          mayFault(() => decode(asFrame(join(frame('?', u32(first)), Buffer.from(content)))))
      }),
      { numRuns: 300 },
    )
  })
})

function mayFault(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    assert.ok(isProtocolFault(error), String(error))
  }
}
