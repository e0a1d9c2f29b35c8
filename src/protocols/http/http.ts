import type { Socket } from 'node:net'
import type { HeaderCredential } from '../../credentials/bearer.ts'
import type { Protocol } from '../../gateway/protocol.ts'
import { openSocket } from '../../http/open-socket.ts'
import { httpServer, SILENCE_MS } from '../../http/server.ts'
import { Connection, type HttpGateway, type OwnPaths } from './connection.ts'
import type { HttpTarget } from './http-target.ts'
import { HEAD_BYTES, REQUEST_MS, REST_MS } from './limits.ts'

const NOTHING: OwnPaths = { segments: [], answer: (_, response) => void response.destroy() }

/**
 * HTTP/1.1 (RFC 9110, 9112) as a reverse proxy: `/<target>/<path>`. Node parses and frames on both sides, so no byte of a
 * client's framing reaches a target. `own` is what the gateway itself answers.
 */
export function http({ handshakeMs = SILENCE_MS, own = NOTHING } = {}): Protocol<HttpTarget, HeaderCredential> {
  const connections = new WeakMap<Socket, Connection>()
  const limits = {
    requestTimeoutMs: REQUEST_MS,
    headersTimeoutMs: handshakeMs,
    keepAliveMs: REST_MS,
    maxHeaderSize: HEAD_BYTES,
    checkEveryMs: handshakeMs / 2,
  }
  const server = httpServer(limits, (request, response) => connections.get(request.socket)?.take(request, response))
  return {
    name: 'http',
    serve: async (client: Socket, gateway: HttpGateway, admitted: () => void) => {
      const socket = await openSocket(client, gateway.tls, handshakeMs)
      if (!socket) return
      const connection = new Connection(socket, gateway, admitted, own)
      connections.set(socket, connection)
      const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
      server.emit('connection', socket)
      await closed
      await connection.ended()
    },
  }
}
