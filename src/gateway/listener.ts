import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Fault } from './fault.ts'

/** One listening port. */
export interface Listener {
  readonly name: string
  readonly host: string
  /** The port it got, when it was asked for 0. */
  readonly port: number
  readonly accepting: boolean
  /** Takes no new connections; resolves when the last one has ended, at the latest after `withinMs`. */
  close(withinMs: number): Promise<void>
}

export type ListenOptions = {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Serves one connection. What it throws ends that connection and no other. */
  readonly serve: (socket: Socket) => Promise<void>
  readonly onError: (error: unknown) => void
}

/** Opens a port. Throws Fault `config` when it is taken or may not be opened. */
export async function listen({ name, host, port, serve, onError }: ListenOptions): Promise<Listener> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    serve(socket).catch((error: unknown) => {
      socket.destroy()
      onError(error)
    })
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
    },
  }
}
