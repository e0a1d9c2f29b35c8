import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { SqlReader } from '../../src/sql/reader.ts'
import { bind, execute, parse, query, sync } from '../client-messages.ts'
import { frame, str, u16, u32 } from '../frames-builder.ts'
import { brief } from '../raw-client.ts'
import { honestTarget } from './honest-target.ts'
import { startFakeScene, startReader } from './postgres-scene.ts'

let reader: SqlReader
before(() => {
  reader = startReader()
})
after(() => reader[Symbol.asyncDispose]())

const GOOD = `SELECT 'good'`

/** A Query of this many bytes, made without the builder: that one is slow for so many. */
function large(bytes: number): Buffer {
  const text = Buffer.alloc(bytes, ' ')
  text.write('SELECT 1')
  text[bytes - 1] = 0
  return Buffer.concat([Buffer.from('Q'), u32(bytes + 4), text])
}

const HOSTILE: Readonly<Record<string, readonly Buffer[]>> = {
  'a Query of 9 MiB': [large(9 << 20)],
  'a Query that says it has 2 GiB': [Buffer.from('517fffffff', 'hex')],
  'a negative length': [Buffer.from('51ffffffff', 'hex')],
  'a length of 3': [Buffer.from('5100000003', 'hex')],
  'a type of message that there is not': [frame('z')],
  'a type that only targets send': [frame('Z', Buffer.from('I'))],
  'a password after the start': [frame('p', str('token'))],
  'a Query with a NUL in it': [frame('Q', str('SELECT 1\0; DROP TABLE customers'))],
  'a Query without its NUL': [frame('Q', Buffer.from('SELECT 1'))],
  'a Query that is no UTF-8': [frame('Q', Buffer.from('53454c454354202780ff2700', 'hex'))],
  'a Parse with -1 types': [frame('P', str(''), str('SELECT 1'), u16(-1)), sync],
  'a Parse with bytes behind it': [frame('P', str(''), str('SELECT 1'), u16(0), u16(0)), sync],
  'a Bind with a value of -2 bytes': [
    parse('SELECT $1'),
    frame('B', str(''), str(''), u16(0), u16(1), u32(-2), u16(0)),
  ],
  'a Bind with a format 7': [parse('SELECT 1'), bind({ formats: [7] }), execute(), sync],
  'a Bind with more values than it has': [frame('B', str(''), str(''), u16(0), u16(9), u16(0)), sync],
  'a Describe of neither kind': [frame('D', Buffer.from('X'), str('')), sync],
  'a Close without a name': [frame('C', Buffer.from('S')), sync],
  'an Execute without its limit': [frame('E', str('')), sync],
  'a Sync with a body': [frame('S', Buffer.from('x'))],
  'more names than a session may have': [
    ...Array.from({ length: 10_100 }, (_, at) => bind({ portal: `p${at}` })),
    sync,
  ],
}

describe('a client that does not keep to the protocol', () => {
  for (const [name, messages] of Object.entries(HOSTILE)) {
    it(`is told so and closed, and no other: ${name}`, async () => {
      await using scene = await startFakeScene(reader, { answer: honestTarget() })
      await using client = await scene.connect()
      await using other = await scene.connect()
      const known = scene.fake.received.length
      client.send(...messages)
      assert.match(brief(await client.closed()).at(-1)!, /^E SP00[47]$/)
      const queries = scene.fake.received.slice(known).filter(({ type }) => type === 0x51)
      assert.deepEqual(queries, [])
      other.send(query(GOOD))
      assert.equal(brief(await other.ready()).at(-1), 'Z I')
      other.socket.destroy()
      await scene.quiet()
      assert.deepEqual(scene.thrown, [])
      assert.equal(scene.entries.filter(({ type }) => type === 'lease.revoked').length, 2)
    })
  }

  it('before it has said who it is, is closed and reaches no target', async () => {
    await using scene = await startFakeScene(reader, { answer: honestTarget() })
    const starts = ['00000003', '7fffffff00030000', '000000090003000000', '474554202f', '0000000804d2162f'.repeat(4)]
    for (const start of starts) {
      await using client = await scene.open()
      client.socket.end(Buffer.from(start, 'hex'))
      await client.closed()
    }
    await scene.quiet()
    assert.deepEqual([scene.fake.packets.length, scene.entries.length, scene.thrown.length], [0, 0, 0])
  })
})
