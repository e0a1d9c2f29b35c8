import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { Fault } from '../../gateway/fault.ts'
import { encodeSslRequest } from './encode.ts'

/**
 * As libpq's `sslmode`, save that a TLS connection which fails is never tried again without TLS. `require` with a `ca`
 * checks it. `host` is the name in the certificate.
 */
export type TargetTls = {
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  /** PEM; the system's roots when absent. */
  readonly ca?: string
  readonly host: string
}

export type TargetAddress = { readonly host: string; readonly port: number; readonly tls: TargetTls }

/** The sockets of one attempt to connect: unless it is kept, they are destroyed with it, or before when its time is up. */
export interface Attempt extends Disposable {
  guard<Guarded extends Socket>(socket: Guarded): Guarded
  keep(): void
}

export function createAttempt(timeoutMs: number, signal?: AbortSignal): Attempt {
  const sockets: Socket[] = []
  const destroyAll = (why: Fault): void => sockets.forEach((socket) => socket.destroy(why))
  const cancel = (): void => destroyAll(new Fault('closed', 'connecting to the target was cancelled', signal?.reason))
  const timer = setTimeout(
    () => destroyAll(new Fault('target', `the target did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  )
  signal?.addEventListener('abort', cancel)
  return {
    guard: (socket) => {
      // An error always comes with a close; without a listener it would end the process.
      socket.on('error', () => undefined)
      sockets.push(socket)
      if (signal?.aborted) cancel()
      return socket
    },
    keep: () => sockets.splice(0),
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
      sockets.forEach((socket) => socket.destroy())
    },
  }
}

/** A connection on which nothing was said but what TLS needs. */
export async function openSocket({ host, port, tls }: TargetAddress, attempt: Attempt): Promise<Socket> {
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }
  const socket = attempt.guard(connectTcp(options))
  await happens(socket, 'connect')
  if (tls.mode === 'disable') return socket
  socket.write(encodeSslRequest())
  if (await acceptsTls(socket)) return await secure(socket, tls, attempt)
  if (tls.mode !== 'prefer') throw new Fault('target', 'the target does not offer TLS')
  return socket
}

/** One byte, and nothing behind it: what came in clear before TLS must not be read as if it came through it. */
async function acceptsTls(socket: Socket): Promise<boolean> {
  const answer = (await receive(socket)).toString('latin1')
  if (answer !== 'S' && answer !== 'N')
    throw new Fault('target', 'the target answered the TLS request with something else than yes or no')
  return answer === 'S'
}

async function secure(socket: Socket, tls: TargetTls, attempt: Attempt): Promise<Socket> {
  const checked = tls.mode.startsWith('verify-') || (tls.mode === 'require' && tls.ca !== undefined)
  const options: ConnectionOptions = {
    socket,
    host: tls.host,
    rejectUnauthorized: checked,
    ...(isIP(tls.host) === 0 && { servername: tls.host }),
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.mode !== 'verify-full' && { checkServerIdentity: () => undefined }),
  }
  const secured = attempt.guard(connectTls(options))
  await happens(secured, 'secureConnect')
  return secured
}

/** The next bytes. Fault `target` once the connection has ended. */
export async function receive(socket: Socket): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read() as Buffer | null
    if (chunk) return chunk
    if (socket.readableEnded) throw new Fault('target', 'the target closed the connection')
    await happens(socket, 'readable', 'end')
  }
}

/** Resolves at the first of these events; Fault `target` when the connection breaks before. */
export async function happens(socket: Socket, ...events: readonly string[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const broken = (): void => reject(failure(socket.errored))
  if (socket.destroyed) throw failure(socket.errored)
  for (const event of events) socket.on(event, resolve)
  socket.on('close', broken)
  await promise.finally(() => {
    for (const event of events) socket.off(event, resolve)
    socket.off('close', broken)
  })
}

function failure(error: Error | null): Fault {
  if (error instanceof Fault) return error
  return new Fault('target', error ? `no connection to the target: ${error.message}` : 'the target hung up', error)
}
