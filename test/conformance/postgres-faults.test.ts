import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '../../src/gateway/clock.ts'
import type { FakeClient } from '../../src/protocols/postgres/fake.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import { query } from '../client-messages.ts'
import { dataRow, error, frame, ready, str, u16, u32 } from '../frames-builder.ts'
import { brief, type Message } from '../raw-client.ts'
import { COLUMNS, done, honestTarget, ROW } from './honest-target.ts'
import { startFakeScene, startReader, type FakeScene } from './postgres-scene.ts'

let reader: SqlReader
before(() => {
  reader = startReader()
})
after(() => reader[Symbol.asyncDispose]())

/** What the target does to a Query of this text; every other Query is answered well. */
const BAD = `SELECT 'bad'`
const GOOD = `SELECT 'good'`

function faulty(fault: (client: FakeClient) => readonly Buffer[], bad = BAD): ReturnType<typeof honestTarget> {
  return honestTarget((text, client) => (text === bad ? fault(client) : undefined))
}

/** Every session is over, its lease revoked and recorded, its connection to the target closed; nothing was thrown. */
async function assertEnded(scene: FakeScene): Promise<void> {
  await scene.quiet()
  const types = scene.entries.map(({ type }) => type)
  const opened = types.filter((type) => type === 'session.opened').length
  assert.equal(types.filter((type) => type === 'session.closed').length, opened)
  assert.equal(types.filter((type) => type === 'lease.revoked').length, opened)
  assert.deepEqual(scene.thrown, [])
}

const fatal = (messages: readonly Message[]): string | undefined => brief(messages).at(-1)

type Fault = (client: FakeClient) => readonly Buffer[]

const TARGET_FAULTS: Readonly<Record<string, Fault>> = {
  'an unknown type of message': () => [frame('?', str('x'))],
  'a type that only clients send': () => [frame('Q', str('SELECT 1'))],
  'a length below four': () => [Buffer.from('D\0\0\0\x03', 'latin1')],
  'a negative length': () => [Buffer.from('44ffffffff', 'hex')],
  'a length of 2 GiB': () => [Buffer.from('447fffffff', 'hex')],
  'rows that it has not described': () => [ROW, done('SELECT 1'), ready('I')],
  'a row of one column for two': () => [COLUMNS, dataRow('x'), done('SELECT 1'), ready('I')],
  'a row whose value is longer than the row': () => [COLUMNS, frame('D', u16(2), u32(99), str('x')), ready('I')],
  'a row with a length of -2': () => [COLUMNS, frame('D', u16(2), u32(-2), u32(-1)), ready('I')],
  'a RowDescription cut short': () => [frame('T', u16(2), str('id')), ready('I')],
  'an error without an end': () => [frame('E', Buffer.from('SERROR')), ready('I')],
  'a CommandComplete without an end': () => [frame('C', Buffer.from('SELECT')), ready('I')],
  'a transaction status that there is not': () => [done('SELECT 0'), ready('?')],
  'the start of a COPY that nobody asked for': () => [frame('H', Buffer.of(0), u16(0)), ready('I')],
  'an answer of the extended protocol': () => [frame('1'), ready('I')],
  'a request to authenticate': () => [frame('R', u32(3))],
  'more answers than questions': () => [COLUMNS, ROW, done('SELECT 1'), ready('I'), ready('I')],
  'a fatal error, and its end': (client) => {
    client.send(error({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating' }))
    client.end()
    return []
  },
}

const OUT = `COPY (SELECT 'rows') TO STDOUT`
const IN = 'COPY customers (id, name) FROM STDIN'
const starts = (letter: 'G' | 'H', ...more: readonly Buffer[]): Buffer => frame(letter, Buffer.of(0), u16(0), ...more)
const COPIED = frame('d', Buffer.from('Ada\n'))

const COPY_FAULTS: Readonly<Record<string, readonly [text: string, ...said: readonly Buffer[]]>> = {
  'something behind the end of its rows': [OUT, starts('H'), COPIED, frame('c', str('ada@example.com')), ready('I')],
  'something behind the start of its rows': [OUT, starts('H', str('ada@example.com')), frame('c')],
  'rows in no format': [OUT, frame('H', Buffer.of(2), u16(0)), frame('c')],
  'no end of its rows': [OUT, starts('H'), COPIED, done('COPY 1'), ready('I')],
  'other rows among its rows': [OUT, starts('H'), COPIED, COLUMNS, ROW, frame('c')],
  'an end of its rows behind an error': [OUT, starts('H'), error({ S: 'ERROR', C: '22012', M: 'no' }), frame('c')],
  'something behind the question for input': [IN, starts('G', str('ada@example.com'))],
  'an answer while it takes input': [IN, starts('G'), COLUMNS, ROW],
}

describe('a target that does not keep to the COPY that it was asked for', () => {
  for (const [name, [text, ...said]] of Object.entries(COPY_FAULTS)) {
    it(`ends its session with SP004: ${name}`, async () => {
      await using scene = await startFakeScene(reader, { answer: faulty(() => said, text) })
      await using client = await scene.connect()
      client.send(query(text))
      const heard = await client.closed()
      assert.equal(fatal(heard), 'E SP004')
      assert.ok(!Buffer.concat(heard.map(({ body }) => body)).includes('ada@example.com'))
      await assertEnded(scene)
    })
  }
})

/** A target may end a session, and says why itself. */
const LAST_WORDS = 'a fatal error, and its end'

describe('a target that does not keep to the protocol', () => {
  for (const [name, fault] of Object.entries(TARGET_FAULTS)) {
    const code = name === LAST_WORDS ? '57P01' : 'SP004'
    it(`ends its session with ${code} and no other: ${name}`, async () => {
      await using scene = await startFakeScene(reader, { answer: faulty(fault) })
      await using client = await scene.connect()
      await using other = await scene.connect()
      client.send(query(BAD))
      const heard = await client.closed()
      assert.equal(fatal(heard), `E ${code}`)
      assert.ok(!Buffer.concat(heard.map(({ body }) => body)).includes('ada@example.com'))
      other.send(query(GOOD))
      assert.deepEqual(brief(await other.ready()), ['T email,name', 'D ***|Ada', 'C SELECT 1', 'Z I'])
      other.socket.destroy()
      await assertEnded(scene)
    })
  }

  it('and sends an error of its own accord: the session ends', async () => {
    await using scene = await startFakeScene(reader, {
      answer: faulty((client) => {
        setImmediate(() => client.send(error({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'going' })))
        return [COLUMNS, done('SELECT 0'), ready('I')]
      }),
    })
    await using client = await scene.connect()
    client.send(query(BAD))
    assert.equal(fatal(await client.closed()), 'E SP004')
    await assertEnded(scene)
  })

  it('and closes before the session has begun: it is over, and the lease revoked', async () => {
    const start = (client: FakeClient): void => client.end()
    await using scene = await startFakeScene(reader, { start })
    await using client = await scene.open()
    const parameters = ['user', 'agent', 'database', 'orders', ''].map(str)
    const body = Buffer.concat([u32(3 << 16), ...parameters])
    client.send(u32(4 + body.length), body)
    await client.until('R')
    client.send(frame('p', str('token')))
    assert.equal(fatal(await client.closed()), 'E SP004')
    await assertEnded(scene)
  })

  it('and is silent from the start: the session is given up', async () => {
    const clock = { ...systemClock, sleep: (ms: number, until?: AbortSignal) => systemClock.sleep(ms / 50, until) }
    await using scene = await startFakeScene(reader, { clock })
    await using client = await scene.open()
    const body = Buffer.concat([u32(3 << 16), ...['database', 'orders', ''].map(str)])
    client.send(u32(4 + body.length), body)
    await client.until('R')
    client.send(frame('p', str('token')))
    assert.equal(fatal(await client.closed()), 'E SP004')
    await assertEnded(scene)
  })

  it('and talks without end while nobody asks: the session ends before the memory does', async () => {
    const status = frame('S', str('application_name'), str('x'.repeat(60_000)))
    const flood = Buffer.concat(Array.from({ length: 1_000 }, () => status))
    await using scene = await startFakeScene(reader, {
      answer: faulty((client) => {
        setImmediate(() => client.send(flood))
        return [COLUMNS, done('SELECT 0'), ready('I')]
      }),
    })
    await using client = await scene.connect()
    client.socket.pause()
    client.send(query(BAD))
    await scene.quiet()
    client.socket.destroy()
    await assertEnded(scene)
  })
})

describe('a client that goes', () => {
  it('while its session is made ends it: nobody waits for the expiry of the lease', async () => {
    let gone: (() => Promise<unknown>) | undefined
    await using scene = await startFakeScene(reader, {
      answer: honestTarget(),
      beforeAppend: async ({ type }) => {
        if (type === 'session.opened') await gone?.()
      },
    })
    await using client = await scene.open()
    gone = () => {
      client.socket.resetAndDestroy()
      return setTimeout(50)
    }
    const body = Buffer.concat([u32(3 << 16), ...['database', 'orders', ''].map(str)])
    client.send(u32(4 + body.length), body)
    await client.until('R')
    client.send(frame('p', str('token')))
    await setTimeout(100)
    await assertEnded(scene)
  })
})
