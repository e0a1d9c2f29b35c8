import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { frame, str, u32, untyped } from './frames-builder.ts'

/** One message from the other side; `type` is the letter. */
export type Message = { readonly type: string; readonly body: Buffer }

/** A client that sends exactly the bytes it is told, and keeps every message that comes back. */
export interface RawClient extends AsyncDisposable {
  readonly socket: Socket
  /** Every message since the start was over. */
  readonly messages: readonly Message[]
  /** All in one write. */
  send(...messages: readonly Uint8Array[]): void
  /** The messages not yet taken, up to the `count`-th ReadyForQuery; fails when the connection ends before. */
  ready(count?: number): Promise<readonly Message[]>
  /** The messages not yet taken, up to the first of one of these types. */
  until(...types: readonly string[]): Promise<readonly Message[]>
  /** Everything not yet taken, once the other side has closed. */
  closed(): Promise<readonly Message[]>
}

export type RawOptions = {
  readonly port: number
  readonly user?: string
  readonly database?: string
  readonly password?: string
  /** The address of this machine that it connects from. */
  readonly from?: string
  /** Of the startup message, besides user and database. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** No test waits longer than this for an answer, however busy the machine is, in ms. */
const PATIENCE_MS = 60_000

/** Connects and logs in, by a password in clear or by SCRAM-SHA-256 as the other side asks. */
export async function rawConnect(options: RawOptions): Promise<RawClient> {
  const { client, take } = await open(options.port, options.from)
  const { user = 'agent', database = 'orders', password = '' } = options
  const all = Object.entries({ user, database, ...options.parameters })
  const parameters = all.flatMap(([name, value]) => [str(name), str(value)])
  client.send(untyped(u32(3 << 16), ...parameters, Buffer.of(0)))
  await logIn(client, take, password)
  return client
}

/** A connection on which nothing was said. */
export async function rawOpen(port: number): Promise<RawClient> {
  return (await open(port)).client
}

type Take = (isLast: (message: Message) => boolean) => Promise<readonly Message[]>

async function open(port: number, from?: string): Promise<{ readonly client: RawClient; readonly take: Take }> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: from, noDelay: true })
  const messages: Message[] = []
  let taken = 0
  let wake = Promise.withResolvers<void>()
  let left: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    left = cut(Buffer.concat([left, chunk]), messages)
    wake.resolve()
  })
  socket.on('error', () => undefined).on('close', () => wake.resolve())
  await once(socket, 'connect')

  const take: Take = async (isLast) => {
    const deadline = AbortSignal.timeout(PATIENCE_MS)
    deadline.addEventListener('abort', () => wake.resolve())
    for (let at = taken; ; at++) {
      while (at >= messages.length) {
        assert.ok(!deadline.aborted, `nothing more came after: ${lastWords(messages.slice(taken))}`)
        assert.ok(!socket.closed, `the connection ended after: ${lastWords(messages.slice(taken))}`)
        wake = Promise.withResolvers()
        await wake.promise
      }
      if (isLast(messages[at]!)) return messages.slice(taken, (taken = at + 1))
    }
  }
  const client: RawClient = {
    socket,
    messages,
    send: (...sent) => void socket.write(Buffer.concat(sent)),
    ready: (count = 1) => {
      let left = count
      return take(({ type }) => type === 'Z' && --left === 0)
    },
    until: (...wanted) => take(({ type }) => wanted.includes(type)),
    closed: async () => {
      if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
      return messages.slice(taken)
    },
    [Symbol.asyncDispose]: async () => {
      if (socket.closed) return
      socket.destroy()
      await once(socket, 'close')
    },
  }
  return { client, take }
}

const lastWords = (messages: readonly Message[]): string =>
  show(messages.slice(-9))
    .map((line) => line.slice(0, 90))
    .join(' | ')

/** Whole messages go to `messages`; the rest is returned. */
function cut(bytes: Buffer, messages: Message[]): Buffer {
  let at = 0
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end > bytes.length) break
    messages.push({ type: String.fromCharCode(bytes[at]!), body: bytes.subarray(at + 5, end) })
    at = end
  }
  return bytes.subarray(at)
}

async function logIn(client: RawClient, take: Take, password: string): Promise<void> {
  const asked = async (): Promise<Buffer> => {
    const [last] = (await take(({ type }) => type === 'R' || type === 'E')).slice(-1)
    assert.equal(last!.type, 'R', String(show([last!])[0]))
    return last!.body
  }
  const first = await asked()
  if (first.readInt32BE(0) === 3) client.send(frame('p', str(password)))
  else if (first.readInt32BE(0) === 10) await scram(client, asked, password)
  await client.ready()
}

/** The client's side of SCRAM-SHA-256 (RFC 5802 section 3), without channel binding. */
async function scram(client: RawClient, asked: () => Promise<Buffer>, password: string): Promise<void> {
  const bare = `n=,r=${randomBytes(18).toString('base64')}`
  const first = Buffer.from(`n,,${bare}`)
  client.send(frame('p', str('SCRAM-SHA-256'), u32(first.length), first))
  const challenge = (await asked()).toString('utf8', 4)
  const part = (letter: string): string => new RegExp(`${letter}=([^,]*)`).exec(challenge)?.[1] ?? ''
  const salted = pbkdf2Sync(password, Buffer.from(part('s'), 'base64'), Number(part('i')), 32, 'sha256')
  const clientKey = hmac(salted, 'Client Key')
  const final = `c=biws,r=${part('r')}`
  const signature = hmac(createHash('sha256').update(clientKey).digest(), `${bare},${challenge},${final}`)
  const proof = Buffer.from(clientKey.map((byte, place) => byte ^ signature[place]!)).toString('base64')
  client.send(frame('p', Buffer.from(`${final},p=${proof}`)))
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** Messages in words a test can compare: `Z I`, `D 1|Ada`, `C SELECT 1`, `E 42501 …`, `T id,name`, `1`. */
export function show(messages: readonly Message[]): readonly string[] {
  return messages.map(({ type, body }) => {
    const text = body.toString('utf8')
    switch (type) {
      case 'Z':
        return `Z ${text}`
      case 'C':
        return `C ${text.slice(0, -1)}`
      case 'D':
        return `D ${cells(body).join('|')}`
      case 'T':
        return `T ${columns(body).join(',')}`
      case 'V':
        return `V ${body.readInt32BE(0) < 0 ? 'NULL' : body.toString('hex', 4)}`
      case 'E':
      case 'N':
        return `${type} ${fields(body).get('C')} ${fields(body).get('M')}`
      default:
        return type
    }
  })
}

/** The same, with nothing of an error or a notice but its code. */
export function brief(messages: readonly Message[]): readonly string[] {
  return show(messages).map((line) => (/^[EN] /.test(line) ? line.slice(0, 7) : line))
}

/** Fields of an ErrorResponse or NoticeResponse by their letters. */
export function fields(body: Buffer): ReadonlyMap<string, string> {
  const parts = body.toString('utf8').split('\0')
  return new Map(parts.filter((part) => part !== '').map((part) => [part.charAt(0), part.slice(1)]))
}

function cells(body: Buffer): string[] {
  let at = 2
  return Array.from({ length: body.readInt16BE(0) }, () => {
    const length = body.readInt32BE(at)
    const value = length < 0 ? 'NULL' : body.toString('utf8', at + 4, at + 4 + length)
    at += 4 + Math.max(length, 0)
    return value
  })
}

function columns(body: Buffer): string[] {
  let at = 2
  return Array.from({ length: body.readInt16BE(0) }, () => {
    const end = body.indexOf(0, at)
    const name = body.toString('utf8', at, end)
    at = end + 19
    return name
  })
}
