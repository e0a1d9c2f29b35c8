import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { isLoopback } from '../../config/loopback.ts'
import { Fault } from '../../gateway/fault.ts'
import { encodeAuthenticationCleartextPassword, encodeNegotiateProtocolVersion } from './encode.ts'
import type { Frame } from './frames.ts'
import { decodePassword, decodeStartup, type BackendKey, type StartupPacket } from './messages-client.ts'
import { FRONTEND } from './message-types.ts'

/** What a connection turned out to be. `socket` is the one to go on with: TLS may have been put on it. */
export type Greeting =
  | { readonly wants: 'cancel'; readonly key: BackendKey; readonly socket: Socket }
  | {
      readonly wants: 'session'
      /** The minor version of protocol 3 that is spoken: 0 to 2. */
      readonly minor: number
      readonly parameters: ReadonlyMap<string, string>
      readonly socket: Socket
    }

type StartupMessage = Extract<StartupPacket, { kind: 'StartupMessage' }>

/** Startup requests a client may make before the real one: SSL and GSS, each once. */
const NEGOTIATIONS = 2
/** A token as password, with the message around it. */
const TOKEN_LIMIT = 16 * 1024
/** The first byte of a TLS record (RFC 8446 section 5.1): a client that starts TLS without SSLRequest. */
const TLS_HANDSHAKE = 0x16
const STARTUP_LIMIT = 10_000
/** Of protocol 3, the newest that is spoken: 3.2 differs from 3.0 in the length of the cancel key only. */
const LATEST_MINOR = 2

/**
 * The start of a connection ("Start-up", "SSL Session Encryption"): TLS, version, parameters. Throws Fault `protocol`
 * for what PostgreSQL itself would not take, `closed` when the client leaves or the deadline passes.
 */
export async function greet(socket: Socket, tls: SecureContext, deadline: AbortSignal): Promise<Greeting> {
  const [first] = await take(socket, 1, deadline)
  socket.unshift(Buffer.of(first!))
  let current = first === TLS_HANDSHAKE ? await startTls(socket, tls, deadline, true) : socket
  for (let turn = 0; turn <= NEGOTIATIONS; turn++) {
    const packet = decodeStartup(await takeStartup(current, deadline))
    if (packet.kind === 'CancelRequest') return { wants: 'cancel', key: packet, socket: current }
    if (packet.kind === 'StartupMessage') return start(current, packet)
    if (packet.kind === 'GSSENCRequest') current.write('N')
    if (packet.kind === 'SSLRequest') current = await upgrade(current, tls, deadline)
  }
  throw new Fault('protocol', 'the client asks for encryption again and again')
}

/** The token, asked for as a password in clear: over TLS, or from this machine. */
export async function askToken(socket: Socket, deadline: AbortSignal): Promise<string> {
  if (!(socket instanceof TLSSocket) && !isLoopback(socket.remoteAddress ?? ''))
    throw new Fault('protocol', 'a token is taken over TLS only: connect with sslmode=require or better')
  socket.write(encodeAuthenticationCleartextPassword())
  return decodePassword(await takeSecret(socket, deadline))
}

/** PasswordMessage and its like, which begin with the same byte and may hold a token. */
export async function takeSecret(socket: Socket, deadline: AbortSignal): Promise<Frame> {
  const header = await take(socket, 5, deadline)
  const length = header.readUInt32BE(1)
  if (header[0] !== FRONTEND.PasswordMessage) throw new Fault('protocol', 'the client sent no password')
  if (length < 4 || length > TOKEN_LIMIT) throw new Fault('protocol', `a password message of ${length} bytes`)
  const rest = length === 4 ? Buffer.alloc(0) : await take(socket, length - 4, deadline)
  return { type: FRONTEND.PasswordMessage, bytes: Buffer.concat([header, rest]) }
}

async function upgrade(socket: Socket, tls: SecureContext, deadline: AbortSignal): Promise<Socket> {
  if (socket instanceof TLSSocket) throw new Fault('protocol', 'the client asks for TLS inside TLS')
  if (socket.readableLength > 0) throw new Fault('protocol', 'the client sent bytes in clear before TLS')
  socket.write('S')
  return startTls(socket, tls, deadline, false)
}

/** `direct`: TLS without an SSLRequest needs ALPN `postgresql`, so that no other protocol's client gets here. */
async function startTls(
  socket: Socket,
  tls: SecureContext,
  deadline: AbortSignal,
  direct: boolean,
): Promise<TLSSocket> {
  const secure = new TLSSocket(socket, { isServer: true, secureContext: tls, ALPNProtocols: ['postgresql'] })
  const { promise: secured, resolve } = Promise.withResolvers<void>()
  secure.once('secure', () => resolve())
  await happens(secure, secured, deadline)
  if (direct && secure.alpnProtocol !== 'postgresql') throw new Fault('protocol', 'TLS without ALPN "postgresql"')
  return secure
}

/** What is later than 3.2, and unknown `_pq_.` parameters, are declined as the protocol says; the rest goes on without. */
function start(socket: Socket, { minor: asked, parameters: entries }: StartupMessage): Greeting {
  const names = entries.map(([name]) => name.toLowerCase())
  const repeated = names.find((name, place) => names.indexOf(name) !== place)
  if (repeated !== undefined) throw new Fault('protocol', `the startup parameter ${repeated} is given twice`)
  const unknown = entries.map(([name]) => name).filter(isProtocolOption)
  const minor = Math.min(asked, LATEST_MINOR)
  if (minor < asked || unknown.length > 0) socket.write(encodeNegotiateProtocolVersion(minor, unknown))
  return { wants: 'session', minor, parameters: new Map(entries.filter(([name]) => !isProtocolOption(name))), socket }
}

function isProtocolOption(name: string): boolean {
  return name.startsWith('_pq_.')
}

async function takeStartup(socket: Socket, deadline: AbortSignal): Promise<Buffer> {
  const header = await take(socket, 4, deadline)
  const length = header.readUInt32BE(0)
  // What is no PostgreSQL at all is not answered, as the server does not (ProcessStartupPacket).
  if (length < 8 || length > 4 + STARTUP_LIMIT) throw new Fault('closed', `a startup message has the length ${length}`)
  return Buffer.concat([header, await take(socket, length - 4, deadline)])
}

/** Exactly `size` bytes; what comes behind them stays in the socket. */
async function take(socket: Socket, size: number, deadline: AbortSignal): Promise<Buffer> {
  using arrivals = listenTo(socket)
  for (;;) {
    const bytes = socket.read(size) as Buffer | null
    if (bytes?.length === size) return bytes
    if (bytes || socket.readableEnded || socket.destroyed) throw new Fault('closed', 'the client left')
    await happens(socket, arrivals.next(), deadline)
  }
}

/**
 * Says when more bytes have come, or the last. One listener for the whole wait: each new one would be told of the bytes
 * that are there already, at once and before anything else in the process has its turn.
 */
function listenTo(socket: Socket): Disposable & { next(): Promise<void> } {
  let arrived = Promise.withResolvers<void>()
  const wake = (): void => {
    arrived.resolve()
    arrived = Promise.withResolvers<void>()
  }
  socket.on('readable', wake).on('end', wake)
  return {
    next: () => arrived.promise,
    [Symbol.dispose]: () => void socket.off('readable', wake).off('end', wake),
  }
}

/** `event`, unless the client leaves or the deadline passes first. */
function happens(socket: Socket, event: Promise<void>, deadline: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const left = (): void => reject(new Fault('closed', 'the client left'))
  const late = (): void => reject(new Fault('closed', 'the client took too long to start'))
  void event.then(resolve)
  socket.once('close', left).once('error', left)
  deadline.addEventListener('abort', late, { once: true })
  if (deadline.aborted) late()
  return promise.finally(() => {
    socket.off('close', left).off('error', left)
    deadline.removeEventListener('abort', late)
  })
}
