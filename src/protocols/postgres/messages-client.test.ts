import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { frame, join, str, u16, u32, u8, untyped, val } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Frame } from './frames.ts'
import {
  decodeBind,
  decodeClose,
  decodeCopyFail,
  decodeDescribe,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodePassword,
  decodeQuery,
  decodeSaslInitialResponse,
  decodeStartup,
} from './messages-client.ts'

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'
const asFrame = (bytes: Buffer): Frame => ({ type: bytes[0]!, bytes })
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''))
const int32 = fc.integer({ min: 0, max: 0x7fffffff })
const format = fc.constantFrom<0 | 1>(0, 1)
const bytes = fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value))

const decoders = [
  decodeQuery,
  decodeParse,
  decodeBind,
  decodeDescribe,
  decodeClose,
  decodeExecute,
  decodePassword,
  decodeSaslInitialResponse,
  decodeCopyFail,
  decodeEmpty,
]

describe('decoders of client messages', () => {
  it('read Query byte for byte, a byte order mark included', () => {
    fc.assert(fc.property(text, (query) => assert.equal(decodeQuery(asFrame(frame('Q', str(query)))), query)))
    assert.equal(decodeQuery(asFrame(frame('Q', str('\uFEFFSELECT 1')))), '\uFEFFSELECT 1')
  })

  it('read Parse', () => {
    fc.assert(
      fc.property(text, text, fc.array(int32, { maxLength: 5 }), (name, query, types) => {
        const message = frame('P', str(name), str(query), u16(types.length), ...types.map(u32))
        assert.deepEqual(decodeParse(asFrame(message)), { name, query, types })
      }),
    )
  })

  it('read Bind', () => {
    const parameters = fc.array(fc.option(bytes), { maxLength: 5 })
    fc.assert(
      fc.property(text, text, parameters, format, fc.array(format), (portal, statement, values, one, results) => {
        const message = bindMessage(portal, statement, [one], values, results)
        const expected = { portal, statement, formats: [one], parameters: values, resultFormats: results }
        assert.deepEqual(decodeBind(asFrame(message)), expected)
      }),
    )
  })

  it('read Describe, Close and Execute', () => {
    assert.deepEqual(decodeDescribe(asFrame(frame('D', u8(0x53), str('s1')))), { kind: 'S', name: 's1' })
    assert.deepEqual(decodeClose(asFrame(frame('C', u8(0x50), str('')))), { kind: 'P', name: '' })
    assert.deepEqual(decodeExecute(asFrame(frame('E', str('c'), u32(-1)))), { portal: 'c', maxRows: -1 })
  })

  it('read the answers to an authentication request', () => {
    assert.equal(decodePassword(asFrame(frame('p', str('pässword')))), 'pässword')
    const first = decodeSaslInitialResponse(asFrame(frame('p', str('SCRAM-SHA-256'), val('n,,n=,r=abc'))))
    assert.deepEqual(first, { mechanism: 'SCRAM-SHA-256', data: Buffer.from('n,,n=,r=abc') })
    assert.equal(decodeSaslInitialResponse(asFrame(frame('p', str('X'), val(null)))).data, null)
  })

  it('refuse text that is not UTF-8', () => {
    for (const bad of ['ff', 'c080', 'eda080', 'c3', 'f5808080']) {
      const string = join(Buffer.from(bad, 'hex'), u8(0))
      assert.throws(() => decodeQuery(asFrame(frame('Q', string))), isProtocolFault, bad)
      assert.throws(() => decodeParse(asFrame(frame('P', string, str(''), u16(0)))), isProtocolFault, bad)
    }
  })

  it('refuse a body that is not exactly the message', () => {
    const broken: readonly [(frame: Frame) => unknown, Buffer][] = [
      [decodeQuery, frame('Q')],
      [decodeQuery, frame('Q', Buffer.from('no end'))],
      [decodeQuery, frame('Q', str('one'), str('two'))],
      [decodeParse, frame('P', str(''), str('SELECT 1'), u16(2), u32(23))],
      [decodeParse, frame('P', str(''), str('SELECT 1'), u16(65535))],
      [decodeBind, bindMessage('', '', [2], [], [])],
      [decodeBind, bindMessage('', '', [0, 0], [null], [])],
      [decodeBind, bindMessage('', '', [], [], [256])],
      [decodeBind, frame('B', str(''), str(''), u16(0), u16(1), u32(-2), u16(0))],
      [decodeBind, frame('B', str(''), str(''), u16(0), u16(1), u32(5), u16(0))],
      [decodeBind, frame('B', str(''), str(''), u16(0), u16(1), u32(0x7fffffff), u16(0))],
      [decodeDescribe, frame('D', u8(0x58), str(''))],
      [decodeExecute, frame('E', str(''), u16(0))],
      [decodeSaslInitialResponse, frame('p', str('SCRAM-SHA-256'), u32(-7))],
      [decodeEmpty, frame('S', u8(0))],
    ]
    for (const [decode, message] of broken)
      assert.throws(() => decode(asFrame(message)), isProtocolFault, message.toString('latin1'))
  })

  it('throw nothing but a protocol fault for any body', () => {
    fc.assert(
      fc.property(bytes, (content) => {
        for (const decode of decoders) mayFault(() => decode(asFrame(frame('?', content))))
        mayFault(() => decodeStartup(untyped(content)))
        for (const code of [0x30000, 80877102]) mayFault(() => decodeStartup(untyped(u32(code), content)))
      }),
      { numRuns: 300 },
    )
  })
})

describe('decodeStartup', () => {
  it('keeps repeated parameters in order', () => {
    const message = untyped(u32(0x30002), ...['user', 'a', 'user', 'b', 'options', ''].map(str), u8(0))
    assert.deepEqual(decodeStartup(message), {
      kind: 'StartupMessage',
      minor: 2,
      parameters: [
        ['user', 'a'],
        ['user', 'b'],
        ['options', ''],
      ],
    })
  })

  it('reads the requests that are not a startup', () => {
    assert.deepEqual(decodeStartup(untyped(u32(80877103))), { kind: 'SSLRequest' })
    assert.deepEqual(decodeStartup(untyped(u32(80877104))), { kind: 'GSSENCRequest' })
    for (const length of [4, 32, 256]) {
      const key = Buffer.alloc(length, 7)
      const decoded = decodeStartup(untyped(u32(80877102), u32(4711), key))
      assert.deepEqual(decoded, { kind: 'CancelRequest', pid: 4711, key })
    }
  })

  it('refuses other versions, short and long keys, and what is left over', () => {
    const broken = [
      untyped(u32(0x20000), str('')),
      untyped(u32(0x40000), u8(0)),
      untyped(u32(80877105)),
      untyped(u32(80877103), u8(0)),
      untyped(u32(80877102), u32(1), Buffer.alloc(3)),
      untyped(u32(80877102), u32(1), Buffer.alloc(257)),
      untyped(u32(0x30000), str('user'), u8(0)),
      untyped(u32(0x30000), str('user'), str('a')),
      untyped(u32(0x30000), str('user'), str('a'), u8(0), u8(0)),
    ]
    for (const message of broken)
      assert.throws(() => decodeStartup(message), isProtocolFault, message.toString('latin1'))
  })
})

function bindMessage(
  portal: string,
  statement: string,
  formats: readonly number[],
  values: readonly (Buffer | null)[],
  results: readonly number[],
): Buffer {
  return frame(
    'B',
    str(portal),
    str(statement),
    u16(formats.length),
    ...formats.map(u16),
    u16(values.length),
    ...values.map(val),
    u16(results.length),
    ...results.map(u16),
  )
}

function mayFault(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    assert.ok(isProtocolFault(error), String(error))
  }
}
