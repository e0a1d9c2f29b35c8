import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createSecureContext } from 'node:tls'
import { frame, str, u32, untyped } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import { Cancels } from './cancels.ts'
import { greet, type Greeting } from './client.ts'
import { readStart } from './startup.ts'

const START = untyped(u32(196_608), str('user'), str('ada'), str('database'), str('orders'), Buffer.alloc(1))

/** What the gateway makes of a client that sends these pieces, each when the one before has arrived, and then leaves. */
async function greeted(
  pieces: readonly Buffer[],
  leaves: boolean,
  ms = 2_000,
  heard: Buffer[] = [],
): Promise<Greeting | Fault> {
  const { promise: accepted, resolve } = Promise.withResolvers<Socket>()
  const server = createServer(resolve).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
  client.on('data', (chunk: Buffer) => heard.push(chunk))
  try {
    const socket = await accepted
    const greeting = greet(socket, createSecureContext(), AbortSignal.timeout(ms)).catch(
      (error: unknown) => error as Fault,
    )
    for (const piece of pieces) {
      client.write(piece)
      await new Promise((next) => setImmediate(next))
    }
    if (leaves) client.end()
    const done = await greeting
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next))
    return done
  } finally {
    client.destroy()
    server.close()
  }
}

describe('the start of a connection', () => {
  let ticks = 0
  let timer: NodeJS.Timeout
  before(() => (timer = setInterval(() => ticks++, 1)))
  after(() => clearInterval(timer))

  it('is read however it is split', async () => {
    for (const size of [1, 2, 3, 4, 7, START.length]) {
      const pieces = Array.from({ length: Math.ceil(START.length / size) }, (_, at) =>
        START.subarray(at * size, (at + 1) * size),
      )
      const greeting = await greeted(pieces, false)
      assert.ok(!(greeting instanceof Fault) && greeting.wants === 'session', `in pieces of ${size}`)
      assert.equal(greeting.parameters.get('database'), 'orders')
    }
  })

  it('ends when the client leaves in the middle of it', async () => {
    for (const piece of [Buffer.alloc(1), Buffer.alloc(2), START.subarray(0, 9)]) {
      const greeting = await greeted([piece], true)
      assert.ok(greeting instanceof Fault && greeting.code === 'closed')
    }
  })

  it('leaves the process to others while a client has sent half of it, and ends at the deadline', async () => {
    const before = ticks
    const greeting = await greeted([Buffer.alloc(2)], false, 100)
    assert.ok(greeting instanceof Fault && greeting.code === 'closed')
    assert.ok(ticks > before)
  })
})

const startup = (version: number, ...words: readonly string[]): Buffer =>
  untyped(u32(version), ...words.map(str), Buffer.alloc(1))
const V3 = 3 << 16

describe('the version of the protocol ("NegotiateProtocolVersion")', () => {
  const declined = (minor: number, ...options: readonly string[]): Buffer =>
    frame('v', u32(V3 | minor), u32(options.length), ...options.map(str))
  const cases: readonly (readonly [string, Buffer, number, Buffer])[] = [
    ['3.0 as it is', startup(V3, 'user', 'a'), 0, Buffer.alloc(0)],
    ['3.1 as it is', startup(V3 | 1, 'user', 'a'), 1, Buffer.alloc(0)],
    ['3.2 as it is', startup(V3 | 2, 'user', 'a'), 2, Buffer.alloc(0)],
    ['3.3 as 3.2', startup(V3 | 3, 'user', 'a'), 2, declined(2)],
    ['3.9999 as 3.2, without the options', startup(V3 | 9999, '_pq_.x', '1', 'user', 'a'), 2, declined(2, '_pq_.x')],
    ['3.0 with options without them', startup(V3, '_pq_.b', '', '_pq_.a', '1'), 0, declined(0, '_pq_.b', '_pq_.a')],
  ]
  for (const [name, message, minor, answer] of cases) {
    it(`takes ${name}`, async () => {
      const heard: Buffer[] = []
      const greeting = await greeted([message], false, 2_000, heard)
      assert.ok(!(greeting instanceof Fault) && greeting.wants === 'session')
      assert.equal(greeting.minor, minor)
      assert.deepEqual(Buffer.concat(heard), answer)
      assert.ok(![...greeting.parameters.keys()].some((name) => name.startsWith('_pq_.')))
    })
  }

  for (const version of [1 << 16, 2 << 16, 4 << 16, (1234 << 16) | 1, 0]) {
    it(`does not take ${version >>> 16}.${version & 0xffff}`, async () => {
      const greeting = await greeted([startup(version, 'user', 'a')], false)
      assert.ok(greeting instanceof Fault && greeting.code === 'protocol')
    })
  }
})

describe('startup parameters', () => {
  const refused: Readonly<Record<string, readonly string[]>> = {
    'a user twice': ['user', 'a', 'user', 'postgres'],
    'a database twice': ['user', 'a', 'database', 'b', 'database', 'c'],
    'a setting twice, in other letters': ['user', 'a', 'TimeZone', 'UTC', 'timezone', 'CET'],
    'an option of the protocol twice': ['user', 'a', '_pq_.x', '1', '_pq_.x', '2'],
  }
  for (const [name, words] of Object.entries(refused)) {
    it(`do not name ${name}`, async () => {
      const greeting = await greeted([startup(V3, ...words)], false)
      assert.ok(greeting instanceof Fault && /given twice/.test(greeting.message))
    })
  }

  it('that are no settings are refused', () => {
    for (const name of ['replication', 'User', 'DATABASE'])
      assert.ok(
        'refusal' in
          readStart(
            new Map([
              ['user', 'a'],
              [name, 'x'],
            ]),
          ),
        name,
      )
    const taken = ['application_name', 'DateStyle', 'TimeZone', 'IntervalStyle', 'extra_float_digits']
    assert.ok(!('refusal' in readStart(new Map(taken.map((name) => [name, '1'])))))
    for (const encoding of ['UTF8', "'utf-8'", 'auto'])
      assert.ok(!('refusal' in readStart(new Map([['client_encoding', encoding]]))))
    assert.ok('refusal' in readStart(new Map([['client_encoding', 'SJIS']])))
  })
})

describe('a key to cancel with', () => {
  it('has 4 bytes before protocol 3.2 and 32 from then on, and is good for nothing less than all of it', () => {
    for (const [minor, length] of [
      [0, 4],
      [1, 4],
      [2, 32],
    ] as const) {
      let cancelled = 0
      const cancels = new Cancels()
      using given = cancels.add(7, minor, () => void cancelled++)
      const { pid, key } = given
      assert.equal(key.length, length)
      const wrong = Buffer.from(key)
      wrong[length - 1]! ^= 1
      for (const other of [wrong, key.subarray(0, length - 1), Buffer.concat([key, Buffer.alloc(1)]), Buffer.alloc(0)])
        cancels.request({ pid, key: other })
      cancels.request({ pid: pid ^ 1, key })
      assert.equal(cancelled, 0)
      cancels.request({ pid, key })
      assert.equal(cancelled, 1)
    }
  })

  it('is read in any length from 4 to 256 bytes', async () => {
    for (const [length, taken] of [
      [0, false],
      [3, false],
      [4, true],
      [32, true],
      [256, true],
      [257, false],
    ] as const) {
      const greeting = await greeted([untyped(u32(80_877_102), u32(7), Buffer.alloc(length, 1))], false)
      assert.equal(!(greeting instanceof Fault) && greeting.wants === 'cancel', taken, `${length} bytes`)
    }
  })
})
