import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { dataRow, error, frame, ready, rowDescription, str, u32, untyped } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import { FrameReader, body, startupFrame } from './frames.ts'
import type { Frame } from './frames.ts'

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'
const unlimited = () => 0xffffffff
const session = Buffer.concat([
  rowDescription({ name: 'id', table: 16384, column: 1, type: 23 }, { name: 'note' }),
  dataRow('1', 'é'),
  dataRow('2', null),
  frame('C', str('SELECT 2')),
  error({ S: 'NOTICE', C: '00000', M: 'so' }, 'N'),
  frame('s'),
  ready('I'),
])

function pushAll(reader: FrameReader, chunks: readonly Buffer[]): Frame[] {
  return chunks.flatMap((chunk) => reader.push(chunk))
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const sorted = [0, ...[...cuts].sort((a, b) => a - b), bytes.length]
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
}

describe('FrameReader', () => {
  it('gives the messages of a chunk as views of it', () => {
    const frames = new FrameReader(unlimited).push(session)
    assert.deepEqual(
      frames.map((one) => String.fromCharCode(one.type)),
      ['T', 'D', 'D', 'C', 'N', 's', 'Z'],
    )
    assert.ok(frames.every((one) => one.bytes.buffer === session.buffer))
    assert.deepEqual(body(frames[3]!), str('SELECT 2'))
  })

  it('gives the same messages for every split in two and in single bytes', () => {
    const whole = new FrameReader(unlimited).push(session)
    const cuts = Array.from({ length: session.length + 1 }, (_, at) => [at])
    for (const cut of [...cuts, Array.from({ length: session.length }, (_, at) => at)])
      assert.deepEqual(pushAll(new FrameReader(unlimited), split(session, cut)), whole)
  })

  it('gives the same messages for any split', () => {
    const whole = new FrameReader(unlimited).push(session)
    const cuts = fc.array(fc.nat(session.length), { maxLength: 12 })
    fc.assert(
      fc.property(cuts, (cuts) => {
        const reader = new FrameReader(unlimited)
        assert.deepEqual(pushAll(reader, split(session, cuts)), whole)
        assert.equal(reader.pending.length, 0)
      }),
    )
  })

  it('puts a big message together from many chunks', () => {
    const big = dataRow(Buffer.alloc(300_000, 'x'))
    const bytes = Buffer.concat([big, big, ready('I')])
    const cuts = Array.from({ length: 599 }, (_, at) => (at + 1) * 1001)
    const frames = pushAll(new FrameReader(unlimited), split(bytes, cuts))
    assert.deepEqual(
      frames.map((one) => one.bytes),
      [big, big, ready('I')],
    )
  })

  it('grows with what has arrived when a message is larger than the first allocation', () => {
    const value = Buffer.alloc(5_000_000, 'y')
    const bytes = Buffer.concat([Buffer.from('d'), u32(value.length + 4), value, ready('T')])
    const cuts = Array.from({ length: 76 }, (_, at) => (at + 1) * 65_536)
    const frames = pushAll(new FrameReader(unlimited), split(bytes, cuts))
    assert.equal(frames.length, 2)
    assert.ok(body(frames[0]!).equals(value))
  })

  it('keeps no more than the beginning of a message that is too long to be kept, in any split', () => {
    const long = frame('Q', Buffer.alloc(9_000, 'z'))
    const bytes = Buffer.concat([ready('I'), long, long, ready('T')])
    const reads = (cuts: readonly number[]): readonly Frame[] =>
      pushAll(new FrameReader(unlimited, (type) => (type === 0x51 ? 5_000 : 100)), split(bytes, cuts))
    const kept = { type: 0x51, bytes: long.subarray(0, 4096), dropped: long.length - 4096 }
    const wanted = [...pushAll(new FrameReader(unlimited), [ready('I')]), kept, kept, { type: 0x5a, bytes: ready('T') }]
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => assert.deepEqual(reads(cuts), wanted)),
    )
    assert.deepEqual(reads(Array.from({ length: bytes.length }, (_, at) => at)), wanted)
    assert.equal(new FrameReader(unlimited, () => 8_999 + 5).push(long)[0]?.dropped, undefined)
  })

  it('refuses a message over the limit of its type before it has arrived', () => {
    const reader = new FrameReader((type) => (type === 0x51 ? 10 : 100))
    assert.equal(reader.push(Buffer.concat([Buffer.from('Q'), u32(10)])).length, 0)
    assert.throws(() => new FrameReader(() => 10).push(Buffer.concat([Buffer.from('Q'), u32(11)])), isProtocolFault)
    assert.throws(() => new FrameReader(() => 10).push(Buffer.from('Q\xff\xff\xff\xff', 'latin1')), isProtocolFault)
  })

  it('refuses a length that does not cover itself', () => {
    for (const length of [0, 1, 3])
      assert.throws(
        () => new FrameReader(unlimited).push(Buffer.concat([Buffer.from('S'), u32(length)])),
        isProtocolFault,
      )
  })

  it('refuses a type that does not exist at its first byte', () => {
    const reader = new FrameReader((type) => (type === 0x53 ? 4 : 0))
    assert.throws(() => reader.push(Buffer.from('!')), isProtocolFault)
  })

  it('stays broken after a fault', () => {
    const reader = new FrameReader((type) => (type === 0x53 ? 4 : 0))
    assert.throws(() => reader.push(Buffer.from('!')), isProtocolFault)
    assert.throws(() => reader.push(frame('S')), isProtocolFault)
  })

  it('throws nothing but a protocol fault for any bytes in any split', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(fc.nat(64), { maxLength: 4 }), (bytes, cuts) => {
        const reader = new FrameReader((type) => (type & 1 ? 20 : 40))
        const total = Buffer.from(bytes)
        const cutsInside = cuts.map((cut) => Math.min(cut, total.length))
        try {
          const frames = pushAll(reader, split(total, cutsInside))
          const sizes = frames.reduce((sum, one) => sum + one.bytes.length, 0)
          assert.equal(sizes + reader.pending.length, total.length)
          assert.ok(total.subarray(sizes).equals(reader.pending))
        } catch (error) {
          assert.ok(isProtocolFault(error), String(error))
        }
      }),
    )
  })
})

describe('startupFrame', () => {
  const message = untyped(u32(0x30000), str('user'), str('ada'), Buffer.alloc(1))

  it('waits until the message is whole', () => {
    for (let end = 0; end < message.length; end++) assert.equal(startupFrame(message.subarray(0, end)), undefined)
  })

  it('leaves what follows', () => {
    const found = startupFrame(Buffer.concat([message, Buffer.from('more')]))
    assert.deepEqual(found?.bytes, message)
    assert.equal(found?.rest.toString(), 'more')
  })

  it('takes 10,000 bytes after the length and no more', () => {
    assert.equal(startupFrame(u32(10_004)), undefined)
    for (const length of [10_005, 0x7fffffff, -1, 7, 0])
      assert.throws(() => startupFrame(u32(length)), isProtocolFault, String(length))
  })
})
