import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createSecureContext } from 'node:tls'
import { str, u32, untyped } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import { greet, type Greeting } from './client.ts'

const START = untyped(u32(196_608), str('user'), str('ada'), str('database'), str('orders'), Buffer.alloc(1))

/** What the gateway makes of a client that sends these pieces, each when the one before has arrived, and then leaves. */
async function greeted(pieces: readonly Buffer[], leaves: boolean, ms = 2_000): Promise<Greeting | Fault> {
  const { promise: accepted, resolve } = Promise.withResolvers<Socket>()
  const server = createServer(resolve).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
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
    return await greeting
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
