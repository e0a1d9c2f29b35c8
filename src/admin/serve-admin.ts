import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import { isLoopback } from '../config/loopback.ts'

/** The first byte of a TLS record (RFC 8446 section 5.1). No HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16
/** A connection must say something within this time, in ms. */
const SILENCE_MS = 10_000

/** HTTPS and, from loopback only, plain HTTP on one port. */
export function serveAdmin(
  answer: (request: Request) => Response | Promise<Response>,
  tls: SecureContext,
): (socket: Socket) => Promise<void> {
  const listener = getRequestListener(answer)
  const limits = { requestTimeout: 30_000, headersTimeout: SILENCE_MS }
  const http = createServer(limits, (request, response) => void listener(request, response))
  return async (socket) => {
    const ended = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
    socket.setTimeout(SILENCE_MS, () => socket.destroy())
    socket.once('readable', () => {
      const first = socket.read(1) as Buffer | null
      if (first === null) return
      socket.setTimeout(0)
      socket.unshift(first)
      if (first[0] === TLS_HANDSHAKE) http.emit('connection', secured(socket, tls))
      else if (isLoopback(socket.remoteAddress ?? '')) http.emit('connection', socket)
      else socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    })
    await ended
  }
}

function secured(socket: Socket, secureContext: SecureContext): TLSSocket {
  const secure = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
  secure.on('error', () => socket.destroy())
  return secure
}
