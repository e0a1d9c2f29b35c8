import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import {
  encodeAuthenticationOk,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from './encode.ts'
import { FrameReader, body, startupFrame } from './frames.ts'
import type { Frame } from './frames.ts'
import { decodeSaslInitialResponse, decodeStartup } from './messages-client.ts'
import type { StartupPacket } from './messages-client.ts'

/** What a script can do to the client of one connection. */
export type FakeClient = {
  send(...messages: readonly Buffer[]): void
  /** The same, in pieces of `size` bytes, each a segment of its own as far as the network allows. */
  dribble(bytes: Buffer, size: number): Promise<void>
  /** Resolves when the network has taken them, or never will. */
  pass(bytes: Buffer): Promise<void>
  end(): void
  /** RST instead of an orderly end. */
  reset(): void
  /** Stops reading, or goes on. */
  pause(): void
  resume(): void
}

export type FakeScript = {
  /** Password for SCRAM-SHA-256; without it everybody is let in. */
  readonly password?: string
  readonly parameters?: Readonly<Record<string, string>>
  /** Takes the place of the whole start, authentication included, once the first message is there. */
  readonly start?: (client: FakeClient, packet: StartupPacket) => void
  /** Called for every message after the start. */
  readonly answer?: (frame: Frame, client: FakeClient) => void
}

/** A PostgreSQL of which a test decides every byte, and sees every byte. */
export interface FakeTarget extends AsyncDisposable {
  readonly port: number
  /** First messages of all connections, in order. */
  readonly packets: readonly StartupPacket[]
  /** Everything received after the start, from all connections, in order. */
  readonly received: readonly Frame[]
  /** Connections open now. */
  connections(): number
}

/** Listens on a free port of 127.0.0.1. TLS is declined. */
export async function startFake(script: FakeScript = {}): Promise<FakeTarget> {
  const packets: StartupPacket[] = []
  const received: Frame[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    const client = createClient(socket)
    attend(socket, client, createReception(client, script, packets, received))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    packets,
    received,
    connections: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

type Reception = { open(packet: StartupPacket): void; take(frame: Frame): void }

function createReception(
  client: FakeClient,
  script: FakeScript,
  packets: StartupPacket[],
  received: Frame[],
): Reception {
  let authenticating: ((frame: Frame) => void) | undefined
  return {
    open: (packet) => {
      packets.push(packet)
      if (packet.kind === 'CancelRequest') return client.end()
      if (script.start) return script.start(client, packet)
      if (script.password === undefined) return welcome(client, script)
      authenticating = createScramServer(script.password, client, () => {
        authenticating = undefined
        welcome(client, script)
      })
    },
    take: (frame) => {
      if (authenticating) return authenticating(frame)
      received.push(frame)
      script.answer?.(frame, client)
    },
  }
}

function attend(socket: Socket, client: FakeClient, reception: Reception): void {
  const reader = new FrameReader(() => 0x7fffffff)
  let opening: Buffer | undefined = Buffer.alloc(0)
  /** First messages up to the one that opens; the bytes behind it. */
  const readOpening = (bytes: Buffer): Buffer => {
    const first = startupFrame(bytes)
    opening = first ? undefined : bytes
    if (!first) return Buffer.alloc(0)
    const packet = decodeStartup(first.bytes)
    if (packet.kind === 'SSLRequest' || packet.kind === 'GSSENCRequest') {
      client.send(Buffer.from('N'))
      return readOpening(first.rest)
    }
    reception.open(packet)
    return first.rest
  }
  socket.on('data', (chunk: Buffer) => {
    const rest = opening ? readOpening(Buffer.concat([opening, chunk])) : chunk
    for (const frame of reader.push(rest)) reception.take(frame)
  })
}

function createClient(socket: Socket): FakeClient {
  return {
    send: (...messages) => void socket.write(Buffer.concat(messages)),
    dribble: async (bytes, size) => {
      socket.setNoDelay(true)
      for (let at = 0; at < bytes.length; at += size) {
        socket.write(bytes.subarray(at, at + size))
        await setImmediate()
      }
    },
    pass: (bytes) => new Promise((resolve) => void socket.write(bytes, () => resolve())),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  }
}

function welcome(client: FakeClient, script: FakeScript): void {
  const parameters = { server_version: '18.0', client_encoding: 'UTF8', ...script.parameters }
  client.send(
    encodeAuthenticationOk(),
    ...Object.entries(parameters).map(([name, value]) => encodeParameterStatus(name, value)),
    encodeBackendKeyData({ pid: 4711, key: Buffer.from('cafebabe', 'hex') }),
    encodeReadyForQuery('I'),
  )
}

/** The server's side of SCRAM-SHA-256 (RFC 5802 section 3): asks at once, then takes the two answers. */
function createScramServer(password: string, client: FakeClient, done: () => void): (frame: Frame) => void {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, 4096, 32, 'sha256')
  let dialogue: { readonly bare: string; readonly serverFirst: string } | undefined
  client.send(encodeAuthenticationSasl(['SCRAM-SHA-256']))
  return (frame) => {
    if (!dialogue) {
      const bare = decodeSaslInitialResponse(frame)
        .data!.toString()
        .replace(/^[ny],,/, '')
      const nonce = bare.slice(bare.indexOf('r=') + 2) + randomBytes(9).toString('base64')
      dialogue = { bare, serverFirst: `r=${nonce},s=${salt.toString('base64')},i=4096` }
      return client.send(encodeAuthenticationSaslContinue(Buffer.from(dialogue.serverFirst)))
    }
    const [withoutProof = '', proof = ''] = body(frame).toString().split(',p=')
    const signed = `${dialogue.bare},${dialogue.serverFirst},${withoutProof}`
    if (!provesPassword(salted, signed, proof)) return rejectPassword(client)
    const signature = hmac(hmac(salted, 'Server Key'), signed).toString('base64')
    client.send(encodeAuthenticationSaslFinal(Buffer.from(`v=${signature}`)))
    done()
  }
}

function provesPassword(salted: Buffer, signed: string, proof: string): boolean {
  const clientKey = hmac(salted, 'Client Key')
  const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
  return Buffer.from(proof, 'base64').equals(clientKey.map((byte, index) => byte ^ signature[index]!))
}

function rejectPassword(client: FakeClient): void {
  client.send(encodeErrorResponse({ S: 'FATAL', V: 'FATAL', C: '28P01', M: 'password authentication failed' }))
  client.end()
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
