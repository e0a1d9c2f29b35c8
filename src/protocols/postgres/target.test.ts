import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { error, frame, ready, str, u32, u8 } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import type { FaultCode } from '../../gateway/fault.ts'
import { Secret } from '../../gateway/secret.ts'
import { startFake } from './fake.ts'
import type { FakeScript } from './fake.ts'
import { cancelTarget, connectTarget } from './target.ts'
import type { TargetOptions } from './target.ts'
import { receive } from './target-socket.ts'

const ok = frame('R', u32(0))
const key = frame('K', u32(1), u32(2))
const sasl = frame('R', u32(10), str('SCRAM-SHA-256'), u8(0))

function options(port: number, more: Partial<TargetOptions> = {}): TargetOptions {
  return {
    host: '127.0.0.1',
    port,
    database: 'orders',
    user: 'sp_1',
    password: new Secret('open sesame'),
    parameters: { client_encoding: 'UTF8', user: 'postgres' },
    tls: { mode: 'disable', host: 'localhost' },
    timeoutMs: 5_000,
    ...more,
  }
}

const faults =
  (code: FaultCode, text: RegExp) =>
  (error: unknown): boolean =>
    error instanceof Fault && error.code === code && text.test(error.message)

async function connectingTo(script: FakeScript, more: Partial<TargetOptions> = {}): Promise<void> {
  await using fake = await startFake(script)
  const { socket } = await connectTarget(options(fake.port, more))
  socket.destroy()
}

/** A target whose start is these bytes, whatever it is asked. */
const starting = (...bytes: readonly Buffer[]): FakeScript => ({ start: (client) => client.send(...bytes) })

describe('connectTarget', () => {
  it('authenticates by SCRAM and reports what the target said', async () => {
    await using fake = await startFake({ password: 'open sesame', parameters: { TimeZone: 'UTC' } })
    const { socket, parameters, backendKey, status, rest } = await connectTarget(options(fake.port))
    assert.equal(parameters.get('TimeZone'), 'UTC')
    assert.deepEqual(backendKey, { pid: 4711, key: Buffer.from('cafebabe', 'hex') })
    assert.equal(status, 'I')
    assert.equal(rest.length, 0)
    socket.destroy()
  })

  it('names user and database once, whatever the parameters say', async () => {
    await using fake = await startFake({})
    const { socket } = await connectTarget(options(fake.port))
    assert.deepEqual(fake.packets, [
      {
        kind: 'StartupMessage',
        minor: 0,
        parameters: [
          ['client_encoding', 'UTF8'],
          ['user', 'sp_1'],
          ['database', 'orders'],
        ],
      },
    ])
    socket.destroy()
  })

  it('loses nothing of what comes behind ReadyForQuery', async () => {
    const notice = error({ S: 'NOTICE', M: 'early' }, 'N')
    const late = frame('S', str('late'), str('1'))
    await using fake = await startFake({
      start: (client) => client.send(ok, key, ready('I'), notice, Buffer.from('S\0')),
      answer: (_, client) => client.send(late),
    })
    const { socket, rest } = await connectTarget(options(fake.port))
    assert.deepEqual(rest, Buffer.concat([notice, Buffer.from('S\0')]))
    assert.equal(socket.isPaused(), true)
    socket.write(frame('S'))
    assert.deepEqual(await receive(socket), late)
    socket.destroy()
  })

  it('hands over a socket that waits for its reader', async () => {
    const late = frame('S', str('late'), str('1'))
    await using fake = await startFake({
      start: (client) => client.send(ok, key, ready('I')),
      answer: (_, client) => client.send(late),
    })
    const { socket } = await connectTarget(options(fake.port))
    socket.write(frame('S'))
    while (socket.readableLength < late.length) await new Promise(setImmediate)
    const data = once(socket, 'data')
    socket.resume()
    assert.deepEqual(await data, [late])
    socket.destroy()
  })

  it('reads a start that comes in single bytes', async () => {
    const bytes = Buffer.concat([ok, frame('S', str('a'), str('b')), key, ready('I')])
    await using fake = await startFake({ start: (client) => void client.dribble(bytes, 1) })
    const { socket, parameters } = await connectTarget(options(fake.port))
    assert.equal(parameters.get('a'), 'b')
    socket.destroy()
  })

  it('names SQLSTATE and text of a refusal', async () => {
    const wrong = { password: new Secret('wrong') }
    await assert.rejects(connectingTo({ password: 'right' }, wrong), faults('target', /28P01 password auth/))
    const full = starting(ok, error({ S: 'FATAL', C: '53300', M: 'too many' }))
    await assert.rejects(connectingTo(full), faults('target', /53300 too many/))
  })

  it('gives no password to a target that asks for it in another way than SCRAM-SHA-256', async () => {
    const asks = [
      frame('R', u32(3)),
      frame('R', u32(5), u32(1)),
      frame('R', u32(7)),
      frame('R', u32(10), str('X'), u8(0)),
    ]
    for (const ask of asks) {
      await using fake = await startFake(starting(ask))
      await assert.rejects(connectTarget(options(fake.port)), faults('target', /SCRAM-SHA-256/))
      assert.deepEqual(fake.received, [])
    }
  })

  it('does not take AuthenticationOk for the proof of the password', async () => {
    await assert.rejects(connectingTo(starting(sasl, ok, key, ready('I'))), faults('protocol', /AuthenticationOk/))
  })

  it('takes nothing but authentication before it is authenticated', async () => {
    for (const early of [frame('S', str('a'), str('b')), error({ M: 'x' }, 'N'), key, ready('I')])
      await assert.rejects(connectingTo(starting(early, ok, key, ready('I'))), faults('protocol', /before auth/))
  })

  it('refuses garbage, query results and oversize messages at the start', async () => {
    const garbage = [
      Buffer.from('HTTP/1.1 400 Bad Request'),
      frame('T', u8(0)),
      Buffer.concat([Buffer.from('R'), u32(1e9)]),
    ]
    for (const bytes of garbage) await assert.rejects(connectingTo(starting(ok, bytes)), faults('protocol', /./))
  })

  it('refuses a target that hangs up or resets', async () => {
    await assert.rejects(connectingTo({ start: (client) => client.end() }), faults('target', /closed/))
    await assert.rejects(connectingTo({ start: (client) => client.reset() }), faults('target', /./))
    const free = createServer().listen(0)
    const { port } = free.address() as AddressInfo
    free.close()
    await once(free, 'close')
    await assert.rejects(connectTarget(options(port)), faults('target', /ECONNREFUSED/))
  })

  it('gives up when the target is silent, and when it is told to', async () => {
    await assert.rejects(connectingTo({ start: () => undefined }, { timeoutMs: 50 }), faults('target', /within 50 ms/))
    const early = AbortSignal.abort()
    await assert.rejects(connectingTo({}, { signal: early }), faults('closed', /cancelled/))
    const controller = new AbortController()
    const aborting = { start: () => controller.abort() }
    await assert.rejects(connectingTo(aborting, { signal: controller.signal }), faults('closed', /cancelled/))
  })

  it('leaves no connection behind when it fails', async () => {
    await using fake = await startFake(starting(frame('R', u32(3))))
    await assert.rejects(connectTarget(options(fake.port)))
    while (fake.connections() > 0) await new Promise(setImmediate)
  })
})

describe('the TLS request', () => {
  const answering = async (answer: string, mode: 'prefer' | 'require' | 'verify-full'): Promise<void> => {
    const server = createServer((socket: Socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.write(Buffer.from(answer, 'latin1')))
    }).listen(0)
    const { port } = server.address() as AddressInfo
    const tls = { mode, host: 'localhost' }
    await connectTarget(options(port, { tls, timeoutMs: 300 })).finally(() => server.close())
  }

  it('is refused when bytes in clear come behind the answer', async () => {
    for (const answer of [`S${ok.toString('latin1')}`, 'SS', 'NN'])
      await assert.rejects(answering(answer, 'prefer'), faults('target', /something else/))
  })

  it('is refused for any answer but yes and no', async () => {
    await assert.rejects(answering('E', 'prefer'), faults('target', /something else/))
    await assert.rejects(answering('H', 'require'), faults('target', /something else/))
  })

  it('goes on in clear only where TLS is merely preferred', async () => {
    await assert.rejects(answering('N', 'require'), faults('target', /does not offer TLS/))
    await assert.rejects(answering('N', 'verify-full'), faults('target', /does not offer TLS/))
    await connectingTo({ password: 'open sesame' }, { tls: { mode: 'prefer', host: 'localhost' } })
  })

  it('never goes on in clear when TLS was begun', async () => {
    await assert.rejects(answering('S', 'prefer'), faults('target', /within/))
  })
})

describe('cancelTarget', () => {
  it('sends the key on a connection of its own', async () => {
    await using fake = await startFake({})
    const backendKey = { pid: 7, key: Buffer.alloc(32, 1) }
    await cancelTarget({ ...options(fake.port), key: backendKey })
    assert.deepEqual(fake.packets, [{ kind: 'CancelRequest', ...backendKey }])
  })
})
