import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { openSocket } from '../http/open-socket.ts'
import { httpServer } from '../http/server.ts'

/** HTTPS and, from loopback only, plain HTTP on one port. `tls` is asked for every connection. */
export function serveAdmin(
  answer: (request: Request, env: HttpBindings) => Response | Promise<Response>,
  tls: () => SecureContext,
): (socket: Socket) => Promise<void> {
  const listener = getRequestListener((request, env) => answer(request, env as HttpBindings))
  const http = httpServer({ requestTimeoutMs: 30_000 }, (request, response) => void listener(request, response))
  return async (socket) => {
    const ended = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
    const open = await openSocket(socket, tls())
    if (open) http.emit('connection', open)
    await ended
  }
}
