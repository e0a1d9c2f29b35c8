import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Fault } from './fault.ts'

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

export type ListenOptions = {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Serves one connection. What it throws ends that connection and no other. */
  readonly serve: (socket: Socket) => Promise<void>
  readonly onError: (error: unknown) => void
  /** How long a served client may take to hang up, in ms. */
  readonly lingerMs?: number
}

const LINGER_MS = 5_000

/** Opens a port. Throws Fault `config` when it is taken or may not be opened. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { name, host, port, onError } = options
  const sockets = new Set<Socket>()
  const served = new Set<Promise<void>>()
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    const serving = serveToEnd(socket, options).finally(() => served.delete(serving))
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
async function serveToEnd(socket: Socket, { serve, onError, lingerMs = LINGER_MS }: ListenOptions): Promise<void> {
  try {
    await serve(socket)
    socket.resume() // or its end would never be read
    const late = setTimeout(() => socket.destroy(), lingerMs).unref()
    socket.once('close', () => clearTimeout(late))
  } catch (error) {
    socket.destroy()
    onError(error)
  }
}
