import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { query } from '../client-messages.ts'
import { fields, rawConnect } from '../raw-client.ts'

export type Target = { readonly port: number; readonly token: string }

/** A signed-in client that keeps nothing of what it hears but codes and counts. */
export interface HostileClient extends AsyncDisposable {
  readonly socket: Socket
  /** Codes of the refusals it was sent, and SQLSTATEs of other errors. */
  readonly codes: ReadonlySet<string>
  readonly readies: number
  /** Resolves when all was handed to the kernel, or the connection is gone. */
  flood(bytes: Buffer): Promise<void>
  /** Resolves at the next ReadyForQuery from now, or when the connection is gone. */
  ready(): Promise<void>
  /** Whether it still gets an answer to a plain question. */
  alive(): Promise<boolean>
}

export async function intrude({ port, token }: Target): Promise<HostileClient> {
  const { socket } = await rawConnect({ port, password: token })
  socket.removeAllListeners('data')
  const codes = new Set<string>()
  const heard = { readies: 0 }
  const wakers: (() => void)[] = []
  const wake = (): void => wakers.splice(0).forEach((waker) => waker())
  const changes = (): Promise<void> => new Promise((resolve) => wakers.push(resolve))
  const read = messageReader((type, body) => {
    if (type === 'E') codes.add(codeOf(body))
    if (type === 'Z') heard.readies++
    wake()
  })
  socket.on('data', read).on('drain', wake).on('close', wake).resume()
  const ready = async (): Promise<void> => {
    const before = heard.readies
    while (heard.readies === before && !socket.destroyed) await changes()
  }
  return {
    socket,
    codes,
    get readies() {
      return heard.readies
    },
    ready,
    flood: async (bytes) => {
      if (socket.destroyed || socket.write(bytes)) return
      while (socket.writableNeedDrain && !socket.destroyed) await changes()
    },
    alive: async () => {
      if (socket.destroyed) return false
      const before = codes.size
      socket.write(query('SELECT 7'))
      await ready()
      return !socket.destroyed && codes.size === before
    },
    [Symbol.asyncDispose]: async () => {
      if (socket.closed) return
      socket.destroy()
      await once(socket, 'close')
    },
  }
}

/** The gateway's own code of a refusal, the SQLSTATE of what the target says. */
function codeOf(body: Buffer): string {
  const error = fields(body)
  const detail = error.get('D') ?? ''
  return detail.startsWith('{"v":1,') ? (JSON.parse(detail) as { code: string }).code : (error.get('C') ?? '')
}

/** Takes chunks; calls back for each whole message, of which it keeps none. */
function messageReader(take: (type: string, body: Buffer) => void): (chunk: Buffer) => void {
  let left: Buffer = Buffer.alloc(0)
  return (chunk) => {
    left = left.length > 0 ? Buffer.concat([left, chunk]) : chunk
    let at = 0
    while (left.length - at >= 5) {
      const end = at + 1 + left.readUInt32BE(at + 1)
      if (end > left.length) break
      take(String.fromCharCode(left[at]!), left.subarray(at + 5, end))
      at = end
    }
    left = left.subarray(at)
  }
}

/** A connection on which nothing was said, from any address of this machine. */
export function knock(port: number, from: string): Socket {
  return connect({ host: '127.0.0.1', port, localAddress: from })
    .on('error', () => undefined)
    .resume()
}
