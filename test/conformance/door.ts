import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { openSession, type Core, type Gateway } from '../../src/gateway/gateway.ts'
import type { Target } from '../../src/gateway/protocol.ts'

/** No session takes longer than this to end, in ms. */
const PATIENCE_MS = 8_000
const TURN_MS = 2
/** How long a served client may take to hang up, in ms. */
const LINGER_MS = 2_000

/** What a protocol gets to work with: one target. */
export function gatewayTo<T extends Target<C>, C>(core: Core, target: T): Gateway<T, C> {
  return {
    core,
    tls: createSecureContext(),
    draining: new AbortController().signal,
    target: (name) => (name === target.name ? target : undefined),
    open: (request) => openSession<T, C>(core, request),
  }
}

export type Door = {
  readonly port: number
  /** Serves a connection that does not come through the port. */
  readonly admit: (socket: Socket) => void
  /** What `serve` threw. */
  readonly thrown: readonly unknown[]
  /** Resolves when no connection is served any more; rejects after about so many ms. */
  readonly quiet: (ms?: number) => Promise<void>
  readonly close: () => void
}

/** A port of this machine whose connections are served. */
export async function openDoor(serve: (socket: Socket) => Promise<void>): Promise<Door> {
  const thrown: unknown[] = []
  const serving = new Set<Promise<void>>()
  const admit = (socket: Socket): void => {
    socket.on('error', () => socket.destroy())
    const served = serve(socket)
      .catch((error: unknown) => void thrown.push(error))
      .finally(() => {
        serving.delete(served)
        // As the listener does: not everything that ends hangs up.
        const late = setTimeout(() => socket.destroy(), LINGER_MS).unref()
        socket.once('close', () => clearTimeout(late))
      })
    serving.add(served)
  }
  const server = createServer({ noDelay: true }, admit)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    admit,
    thrown,
    // Counted in turns, so that a starved machine is no hang.
    quiet: async (ms = PATIENCE_MS) => {
      for (let left = ms / TURN_MS; serving.size > 0; left--) {
        if (left <= 0) throw new Error(`${serving.size} connections are still being served`)
        await sleep(TURN_MS)
      }
    },
    close: () => void server.close(),
  }
}
