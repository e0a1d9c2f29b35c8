import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Fault } from './fault.ts'
import { door, type StrangerLimits } from './strangers.ts'

/** One listening port. */
export interface Listener {
  readonly name: string
  readonly host: string
  /** The port it got, when it was asked for 0. */
  readonly port: number
  readonly accepting: boolean
  /**
   * Takes no new connections; resolves when the last one was served to its end: what it opened is closed and revoked. Their
   * sockets are destroyed after `withinMs`.
   */
  close(withinMs: number): Promise<void>
}

/** Serves one connection; calls `admitted` once it is known whose it is. */
export type Serve = (socket: Socket, admitted: () => void) => Promise<void>

export type ListenOptions = {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Serves one connection. What it throws ends that connection and no other. */
  readonly serve: Serve
  /** Connections that have not been admitted yet, at most: one more is closed at once. */
  readonly strangers?: StrangerLimits
  readonly onError: (error: unknown) => void
  /** How long a served client may take to hang up, in ms. */
  readonly lingerMs?: number
}

const LINGER_MS = 5_000
/** A handshake is short: so many at once are an attack, or a start of a fleet that tries again. */
const STRANGERS: StrangerLimits = { total: 1_000, perAddress: 200 }

/** Opens a port. Throws Fault `config` when it is taken or may not be opened. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { name, host, port, onError } = options
  const sockets = new Set<Socket>()
  const served = new Set<Promise<void>>()
  const enter = door(options.strangers ?? STRANGERS)
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    const admitted = enter(socket.remoteAddress ?? '')
    if (!admitted) {
      socket.destroy()
      return
    }
    socket.once('close', admitted)
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    const serving = serveToEnd(socket, admitted, options).finally(() => served.delete(serving))
    served.add(serving)
  })
  await new Promise<void>((resolve, reject) => {
    const refused = (error: Error): void => reject(new Fault('config', `listen.${name}: ${error.message}`, error))
    server.once('error', refused)
    server.listen(port, host, () => {
      server.off('error', refused)
      server.on('error', onError)
      resolve()
    })
  })
  return {
    name,
    host,
    port: (server.address() as AddressInfo).port,
    get accepting() {
      return server.listening
    },
    close: async (withinMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const late = setTimeout(() => sockets.forEach((socket) => socket.destroy()), withinMs)
      await closed
      clearTimeout(late)
      await Promise.all(served)
    },
  }
}

/** Never rejects. A client that keeps its side open when all is said is cut off. */
async function serveToEnd(
  socket: Socket,
  admitted: () => void,
  { serve, onError, lingerMs = LINGER_MS }: ListenOptions,
): Promise<void> {
  try {
    await serve(socket, admitted)
    socket.resume() // or its end would never be read
    const late = setTimeout(() => socket.destroy(), lingerMs).unref()
    socket.once('close', () => clearTimeout(late))
  } catch (error) {
    socket.destroy()
    onError(error)
  }
}
