import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { error, frame, ready, str, u16, u32, u8, untyped, val } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import * as encode from './encode.ts'
import { decodeBind } from './messages-client.ts'

describe('encoders', () => {
  it('say the messages to the client as the specification lays them out', () => {
    const key = Buffer.from('01020304', 'hex')
    const pairs: readonly (readonly [Buffer, Buffer])[] = [
      [encode.encodeErrorResponse({ S: 'ERROR', C: '42501', M: 'nö' }), error({ S: 'ERROR', C: '42501', M: 'nö' })],
      [encode.encodeNoticeResponse({ S: 'NOTICE' }), error({ S: 'NOTICE' }, 'N')],
      [encode.encodeReadyForQuery('E'), ready('E')],
      [encode.encodeAuthenticationOk(), frame('R', u32(0))],
      [encode.encodeAuthenticationCleartextPassword(), frame('R', u32(3))],
      [encode.encodeAuthenticationSasl(['A', 'B']), frame('R', u32(10), str('A'), str('B'), u8(0))],
      [encode.encodeAuthenticationSaslContinue(key), frame('R', u32(11), key)],
      [encode.encodeAuthenticationSaslFinal(key), frame('R', u32(12), key)],
      [encode.encodeParameterStatus('a', 'b'), frame('S', str('a'), str('b'))],
      [encode.encodeBackendKeyData({ pid: 7, key }), frame('K', u32(7), key)],
      [encode.encodeNegotiateProtocolVersion(2, ['x']), frame('v', u32(0x30002), u32(1), str('x'))],
      [encode.encodeParseComplete(), frame('1')],
      [encode.encodeBindComplete(), frame('2')],
      [encode.encodeCloseComplete(), frame('3')],
      [encode.encodeEmptyQueryResponse(), frame('I')],
    ]
    for (const [said, expected] of pairs) assert.deepEqual(said, expected)
  })

  it('say the messages to the target as the specification lays them out', () => {
    const key = Buffer.alloc(32, 5)
    const pairs: readonly (readonly [Buffer, Buffer])[] = [
      [encode.encodeStartup([['user', 'ada']]), untyped(u32(0x30000), str('user'), str('ada'), u8(0))],
      [encode.encodeSslRequest(), untyped(u32(80877103))],
      [encode.encodeCancelRequest({ pid: -1, key }), untyped(u32(80877102), u32(-1), key)],
      [encode.encodeSaslInitialResponse('M', key), frame('p', str('M'), val(key))],
      [encode.encodeSaslResponse(key), frame('p', key)],
      [encode.encodeQuery('SELECT 1'), frame('Q', str('SELECT 1'))],
      [encode.encodeParse('s', 'SELECT $1', [23]), frame('P', str('s'), str('SELECT $1'), u16(1), u32(23))],
      [encode.encodeDescribe('S', 's'), frame('D', u8(0x53), str('s'))],
      [encode.encodeClose('P', 'p'), frame('C', u8(0x50), str('p'))],
      [encode.encodeExecute('p', 9), frame('E', str('p'), u32(9))],
      [encode.encodeSync(), frame('S')],
      [encode.encodeFlush(), frame('H')],
      [encode.encodeTerminate(), frame('X')],
    ]
    for (const [said, expected] of pairs) assert.deepEqual(said, expected)
  })

  it('say Bind so that it is read back', () => {
    const value = fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes)))
    fc.assert(
      fc.property(fc.array(value), fc.constantFrom<0 | 1>(0, 1), (parameters, format) => {
        const bind = { portal: 'p', statement: 's', formats: [format], parameters, resultFormats: [format, format] }
        assert.deepEqual(decodeBind({ type: 0x42, bytes: encode.encodeBind(bind) }), bind)
      }),
    )
  })

  it('let no NUL cut a string', () => {
    assert.throws(() => encode.encodeQuery('SELECT 1\0DROP'), Fault)
    assert.throws(() => encode.encodeStartup([['user', 'a\0role\0b']]), Fault)
    assert.deepEqual(encode.encodeErrorResponse({ M: 'a\0Cb' }), error({ M: 'a\uFFFDCb' }))
  })
})
