import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { deliver, type Behaviour, type Outlet } from './deliver.ts'

/** A request exactly as it came. */
export type Received = { readonly line: string; readonly fields: readonly string[]; readonly body: string }

/** An HTTP server of which a test decides every byte, and sees every byte. */
export interface FakeHttp extends AsyncDisposable {
  readonly port: number
  readonly received: readonly Received[]
  /** In bytes. */
  readonly size: number
  readonly taken: number
  readonly connections: number
  behave(behaviour: Behaviour): void
}

/** `answer` gives the whole response to a request. */
export async function startFakeHttp(answer: (request: Received) => Buffer): Promise<FakeHttp> {
  const received: Received[] = []
  const sockets = new Set<Socket>()
  let behaviour: Behaviour = { does: 'answer' }
  let [size, taken] = [0, 0]
  const note = (bytes: number): void => void (taken += bytes)
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
    let kept: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      const { requests, rest } = requestsIn(Buffer.concat([kept, chunk]))
      kept = rest
      received.push(...requests)
      for (const request of requests) void deliver(answer(request), outletOf(socket), behaviour, note)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received,
    get size() {
      return size
    },
    get taken() {
      return taken
    },
    get connections() {
      return sockets.size
    },
    behave: (next) => {
      behaviour = next
      taken = 0
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function outletOf(socket: Socket): Outlet {
  return {
    pass: (bytes) => new Promise((resolve) => void socket.write(bytes, () => resolve())),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
  }
}

/** Whole requests; what a target of a gateway gets has a length and no chunks. */
function requestsIn(bytes: Buffer): { readonly requests: readonly Received[]; readonly rest: Buffer } {
  const requests: Received[] = []
  let rest = bytes
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return { requests, rest }
    const [line = '', ...fields] = rest.toString('latin1', 0, end).split('\r\n')
    const length = Number(/^content-length: *(\d+)$/im.exec(fields.join('\n'))?.[1] ?? 0)
    if (rest.length < end + 4 + length) return { requests, rest }
    requests.push({ line, fields, body: rest.toString('utf8', end + 4, end + 4 + length) })
    rest = rest.subarray(end + 4 + length)
  }
}
