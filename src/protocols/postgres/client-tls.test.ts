import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { str, u32, untyped } from '../../../test/frames-builder.ts'
import { serverTls } from '../../gateway/certificate.ts'
import { Fault } from '../../gateway/fault.ts'
import { greet, type Greeting } from './client.ts'

const START = untyped(u32(3 << 16), str('user'), str('ada'), Buffer.of(0))
const SSL_REQUEST = untyped(u32(80_877_103))
const GSS_REQUEST = untyped(u32(80_877_104))
const CANCEL = untyped(u32(80_877_102), u32(7), Buffer.alloc(32, 1))

type Outcome = Greeting | Fault

let directory: string
let server: Server
/** What came of each connection, in order. */
let outcomes: Promise<Outcome>[]

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sallyport-tls-'))
  const { context } = await serverTls(directory, undefined, [])
  outcomes = []
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    const greeting = greet(socket, context, AbortSignal.timeout(3_000))
    outcomes.push(greeting.catch((error: unknown) => error as Fault).finally(() => socket.end()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
after(async () => {
  server.close()
  await rm(directory, { recursive: true })
})

async function open(): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** TLS on a connection; undefined when the other side does not take it. */
async function secure(socket: Socket, protocols: readonly string[]): Promise<TLSSocket | undefined> {
  const secured = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [...protocols] })
  const { promise, resolve } = Promise.withResolvers<TLSSocket | undefined>()
  secured.on('error', () => resolve(undefined)).on('secureConnect', () => resolve(secured))
  return promise
}

async function said(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  return bytes.toString('latin1')
}

/** A connection on which TLS was asked for and granted. */
async function granted(): Promise<Socket> {
  const socket = await open()
  socket.write(SSL_REQUEST)
  assert.equal(await said(socket), 'S')
  return socket
}

async function outcome(socket: Socket): Promise<Outcome> {
  const found = await outcomes.at(-1)!
  socket.destroy()
  return found
}

const isSession = (found: Outcome): boolean => !(found instanceof Fault) && found.wants === 'session'
const isFault = (found: Outcome, code: Fault['code'], message: RegExp): void => {
  assert.ok(found instanceof Fault, 'it came in')
  assert.deepEqual([found.code, message.test(found.message)], [code, true], found.message)
}

describe('TLS ("SSL Session Encryption")', () => {
  it('begins at once with ALPN "postgresql"', async () => {
    const socket = await secure(await open(), ['postgresql'])
    assert.equal(socket?.alpnProtocol, 'postgresql')
    socket.write(START)
    assert.ok(isSession(await outcome(socket)))
  })

  it('does not begin at once without ALPN, nor with that of another protocol', async () => {
    const socket = await secure(await open(), [])
    isFault(await outcome(socket!), 'protocol', /without ALPN/)
    const other = await open()
    assert.equal(await secure(other, ['h2', 'http/1.1']), undefined)
    isFault(await outcome(other), 'closed', /left/)
  })

  it('begins after SSLRequest with ALPN or without, but not with that of another protocol', async () => {
    for (const protocols of [[], ['postgresql'], ['x', 'postgresql']]) {
      const socket = await secure(await granted(), protocols)
      socket!.write(START)
      assert.ok(isSession(await outcome(socket!)), String(protocols))
    }
    const other = await granted()
    assert.equal(await secure(other, ['h2']), undefined)
    isFault(await outcome(other), 'closed', /left/)
  })

  it('is asked for once', async () => {
    const socket = (await secure(await granted(), []))!
    socket.write(SSL_REQUEST)
    isFault(await outcome(socket), 'protocol', /TLS inside TLS/)
    const direct = (await secure(await open(), ['postgresql']))!
    direct.write(SSL_REQUEST)
    isFault(await outcome(direct), 'protocol', /TLS inside TLS/)
  })

  it('is not begun when bytes in clear came behind the request', async () => {
    const socket = await open()
    socket.write(Buffer.concat([SSL_REQUEST, START]))
    isFault(await outcome(socket), 'protocol', /in clear before TLS/)
  })

  it('is what remains when GSS encryption is declined, before and inside of it', async () => {
    const socket = await open()
    socket.write(GSS_REQUEST)
    assert.equal(await said(socket), 'N')
    socket.write(SSL_REQUEST)
    assert.equal(await said(socket), 'S')
    const secured = (await secure(socket, []))!
    secured.write(START)
    assert.ok(isSession(await outcome(secured)))
    const direct = (await secure(await open(), ['postgresql']))!
    direct.write(GSS_REQUEST)
    assert.equal(await said(direct), 'N')
    direct.write(START)
    assert.ok(isSession(await outcome(direct)))
  })

  it('hides a request to cancel too', async () => {
    const socket = (await secure(await open(), ['postgresql']))!
    socket.write(CANCEL)
    const found = await outcome(socket)
    assert.ok(!(found instanceof Fault) && found.wants === 'cancel')
    assert.equal(found.key.key.length, 32)
  })
})
