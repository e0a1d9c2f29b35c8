import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, describe, it } from 'node:test'
import { Fault } from './fault.ts'
import { listen, type Listener, type ListenOptions } from './listener.ts'

describe('a listener', () => {
  const listeners: Listener[] = []
  const errors: unknown[] = []
  after(() => Promise.all(listeners.map((listener) => listener.close(0))))
  const open = async (serve: ListenOptions['serve'], more: Partial<ListenOptions> = {}): Promise<Listener> => {
    const onError = (error: unknown): void => void errors.push(error)
    const listener = await listen({ name: 'postgres', host: '127.0.0.1', port: 0, serve, onError, ...more })
    listeners.push(listener)
    return listener
  }
  const dial = ({ port }: Listener, allowHalfOpen = false): Socket => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen })
    socket.on('error', () => undefined)
    return socket
  }

  it('says by its name that a port is taken', async () => {
    const { port } = await open(async () => undefined)
    await assert.rejects(
      open(async () => undefined, { port }),
      (error: unknown) => {
        assert.ok(error instanceof Fault)
        assert.equal(error.code, 'config')
        assert.match(error.message, /^listen\.postgres: .*EADDRINUSE.*127\.0\.0\.1:\d+$/)
        return true
      },
    )
  })

  it('closes at once what comes while too many have not said who they are', async () => {
    const guests: (() => void)[] = []
    const serve: ListenOptions['serve'] = (socket, admitted) => {
      guests.push(admitted)
      return new Promise((resolve) => void socket.once('close', () => resolve()))
    }
    const listener = await open(serve, { strangers: { total: 9, perAddress: 2 } })
    const [first, second] = [dial(listener), dial(listener)]
    await Promise.all([first, second].map((socket) => once(socket, 'connect')))
    while (guests.length < 2) await sleep(1)
    await once(dial(listener).resume(), 'close')
    guests[0]?.()
    const third = dial(listener)
    while (guests.length < 3) await sleep(1)
    for (const socket of [first, second, third]) socket.destroy()
  })

  it('waits in close for what serves a client, also when the client is gone', async () => {
    const served = Promise.withResolvers<void>()
    const listener = await open(() => served.promise)
    const client = dial(listener)
    await once(client, 'connect')
    client.destroy()
    let closed = false
    const closing = listener.close(10).then(() => (closed = true))
    await sleep(50)
    assert.equal(closed, false)
    assert.equal(listener.accepting, false)
    served.resolve()
    await closing
  })

  it('cuts off after a while a client that was served and does not hang up', async () => {
    const listener = await open(async (socket) => void socket.end('bye'), { lingerMs: 20 })
    const client = dial(listener, true)
    client.write('never read')
    const [said] = (await once(client, 'data')) as [Buffer]
    assert.equal(String(said), 'bye')
    await listener.close(60_000)
    client.destroy()
  })

  it('lets go of a client whose bytes nobody read, as soon as it hangs up', async () => {
    const ended = Promise.withResolvers<Socket>()
    const listener = await open(async (socket) => {
      ended.resolve(socket)
      socket.end('no')
    })
    const client = dial(listener)
    client.resume().end('never read')
    await once(client, 'close')
    const socket = await ended.promise
    if (!socket.closed) await once(socket, 'close')
  })

  it('ends the connection of what throws, and no other', async () => {
    const listener = await open(async (socket) => {
      const [first] = (await once(socket, 'data')) as [Buffer]
      if (String(first) === 'bad') throw new Fault('protocol', 'bad')
      socket.end('good')
    })
    const [bad, good] = [dial(listener), dial(listener)]
    bad.write('bad')
    await once(bad, 'close')
    good.write('fine')
    const [said] = (await once(good, 'data')) as [Buffer]
    assert.equal(String(said), 'good')
    assert.deepEqual(
      errors.map((error) => (error as Fault).message),
      ['bad'],
    )
  })
})
