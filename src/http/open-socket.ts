import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { isLoopback } from '../config/loopback.ts'
import { SILENCE_MS } from './server.ts'

/** The first byte of a TLS record (RFC 8446 section 5.1). No HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16

/**
 * HTTPS and, from loopback only, plain HTTP on one port: the socket to speak HTTP on, by the first byte of the client.
 * Undefined when it is told to go (plain from elsewhere) or has left.
 */
export async function openSocket(
  socket: Socket,
  tls: SecureContext,
  silenceMs = SILENCE_MS,
): Promise<Socket | undefined> {
  socket.setTimeout(silenceMs, () => socket.destroy())
  const first = await firstByte(socket)
  if (first === undefined) return undefined
  socket.setTimeout(0)
  if (first === TLS_HANDSHAKE) return secured(socket, tls)
  if (isLoopback(socket.remoteAddress ?? '')) return socket
  socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
  return undefined
}

/** Looks at it and leaves it in the socket. */
function firstByte(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined))
    socket.once('readable', () => {
      const first = socket.read(1) as Buffer | null
      if (first) socket.unshift(first)
      resolve(first?.[0])
    })
  })
}

function secured(socket: Socket, secureContext: SecureContext): TLSSocket {
  const secure = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
  secure.on('error', () => socket.destroy())
  return secure
}
