import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { HeaderCredential } from '../../src/credentials/bearer.ts'
import type { RefusalCode } from '../../src/gateway/domain.ts'
import { Secret } from '../../src/gateway/secret.ts'
import type { LeaseSource } from '../../src/grants/lease.ts'
import { parseJsonPath } from '../../src/http/json-path.ts'
import { httpTarget, type HttpTarget } from '../../src/protocols/http/http-target.ts'
import { http } from '../../src/protocols/http/http.ts'
import type { Entry } from '../../src/record/entry.ts'
import { gatewayTo } from './door.ts'
import { TOKEN, type Client, type Driver, type FakeTarget, type Heard, type Word } from './driver.ts'
import { startFakeHttp, type FakeHttp, type Received } from './fake-http-target.ts'
import { ResponseReader, type Response } from './http-responses.ts'

const CREDENTIAL = 'credential-of-the-gateway'
const EMAIL = 'ada@example.com'

const LINES: Readonly<Record<Word, string>> = {
  allowed: 'GET /v1/allowed',
  denied: 'DELETE /v1/denied',
  held: 'POST /v1/held',
  masked: 'GET /v1/masked',
  bulk: 'GET /v1/bulk',
}
const JSON_TYPE = 'application/json'
const BULK_BYTES = 24 << 20

/** In chunks, so that its end is told by its framing. */
function response(type: string, body: Buffer, chunk: number): Buffer {
  const pieces = Array.from({ length: Math.ceil(body.length / chunk) }, (_, at) => {
    const piece = body.subarray(at * chunk, (at + 1) * chunk)
    return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
  })
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`)
  return Buffer.concat([head, ...pieces, Buffer.from('0\r\n\r\n')])
}

const json = (value: unknown): Buffer => response(JSON_TYPE, Buffer.from(JSON.stringify(value)), 16)

function answerTo({ line }: Received): Buffer {
  switch (wordOf(line)) {
    case 'masked':
      return json({ customers: [{ id: 1, email: EMAIL }], note: `ask ${EMAIL}`, said: `Bearer ${CREDENTIAL}, thanks` })
    case 'bulk':
      return response('application/octet-stream', Buffer.alloc(BULK_BYTES, 'x'), 64 * 1024)
    default:
      return json({ did: line, padding: 'x'.repeat(2_000) })
  }
}

/** `base` is the path of the target's URL. */
export function httpDriver(): Driver {
  return {
    name: 'HTTP',
    actions: { denied: 'http.delete', held: 'http.post' },
    secrets: [EMAIL, CREDENTIAL],
    sensitive: EMAIL,
    says: 'padding',
    start: async ({ core, leases, handshakeMs }) => {
      const fake = await startFakeHttp(answerTo)
      const made = targetAt(fake.port, leases(credential()))
      const gateway = gatewayTo<HttpTarget, HeaderCredential>(core, made)
      const protocol = http({ handshakeMs })
      return { target: targetOver(fake, made), serve: (socket) => protocol.serve(socket, gateway, () => undefined) }
    },
    connect: open,
    knock: async (port, token) => {
      await using client = await open(port)
      client.send(requestOf(LINES.allowed, token))
      return await client.hear()
    },
    bytesOf: (word) => requestOf(LINES[word], TOKEN, word === 'held' ? '{"amount":1}' : undefined),
    hostile: HOSTILE,
    nonsense: ['SSH-2.0-OpenSSH_9.2\r\n', '\0\0\0\x08\x04\xd2\x16\x2f', 'GET', ' \r\n\r\n'].map((text) =>
      Buffer.from(text, 'latin1'),
    ),
    beginnings: {
      'a head cut short': requestOf(LINES.allowed, TOKEN).subarray(0, 40),
      'a TLS handshake cut short': Buffer.from('160301', 'hex'),
    },
  }
}

function requestOf(line: string, token: string | undefined, body = '', ...more: readonly string[]): Buffer {
  const [method = '', path = ''] = line.split(' ')
  const fields = [
    'Host: gateway',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    'X-Tenant: t1',
    ...(body === '' ? [] : [`Content-Type: ${JSON_TYPE}`, `Content-Length: ${body.length}`]),
    ...more,
  ]
  return Buffer.from(`${method} /billing${path} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`, 'latin1')
}

const HOSTILE: Readonly<Record<string, readonly Buffer[]>> = {
  'a head of 64 KiB': [requestOf(LINES.allowed, TOKEN, '', `X-Long: ${'x'.repeat(64 * 1024)}`)],
  'a body of 2 MiB': [requestOf('POST /v1/notes', TOKEN, 'x'.repeat(2 << 20))],
  'no HTTP': [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n\r\n')],
  'bytes at random': [Buffer.from('517fffffff00ff0d0a0d0a', 'hex')],
  'HTTP/2': [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  'a method that there is not': [requestOf('BREW /v1/pot', TOKEN)],
  'a method that policies do not know': [requestOf('PROPFIND /v1/a', TOKEN)],
  'a body with two lengths': [requestOf(LINES.allowed, TOKEN, '', 'Content-Length: 3', 'Content-Length: 4')],
  'a chunk without a size': [requestOf('PUT /v1/a', TOKEN, '', 'Transfer-Encoding: chunked'), Buffer.from('zz\r\n')],
  'a path out of its target': [requestOf('GET /..%2f..%2fadmin', TOKEN)],
  'a NUL in the head': [requestOf(LINES.allowed, TOKEN, '', 'X-A: \0')],
}

function credential(): HeaderCredential {
  const value = new Secret(`Bearer ${CREDENTIAL}`)
  return { name: 'authorization', value, secrets: [new Secret(CREDENTIAL)] }
}

function targetAt(port: number, leases: LeaseSource<HeaderCredential>): HttpTarget {
  const sensitive = { pii: [parseJsonPath('$.customers[*].email')!, parseJsonPath('$.note')!] }
  const url = new URL(`http://127.0.0.1:${port}`)
  return httpTarget({ name: 'billing', leases, config: { url, lease: UNUSED, sensitive, detect: [] } })
}
const UNUSED = { from: 'bearer', token: new Secret('unused') } as const

async function open(port: number): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true }).on('error', () => undefined)
  const reader = new ResponseReader()
  let [received, taken] = [0, 0]
  let wake = Promise.withResolvers<void>()
  socket.on('close', () => wake.resolve())
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    reader.push(chunk)
    wake.resolve()
  })
  await once(socket, 'connect')
  return {
    socket,
    get received() {
      return received
    },
    said: () => Buffer.concat(reader.responses.flatMap(({ body }) => body)).toString('latin1'),
    send: (...bytes) => void socket.write(Buffer.concat(bytes)),
    hear: async () => {
      const late = AbortSignal.timeout(PATIENCE_MS)
      late.addEventListener('abort', () => wake.resolve())
      while (!reader.responses[taken]?.whole && !socket.closed) {
        if (late.aborted) throw new Error(`no answer came, but: ${heardOf(reader.responses[taken]).text}`)
        await wake.promise
        wake = Promise.withResolvers()
      }
      return heardOf(reader.responses[taken++])
    },
    [Symbol.asyncDispose]: () => gone(socket),
  }
}

/** No test waits longer than this for an answer, in ms. */
const PATIENCE_MS = 8_000

async function gone(socket: Socket): Promise<void> {
  if (socket.closed) return
  socket.destroy()
  await once(socket, 'close')
}

function heardOf(response: Response | undefined): Heard {
  if (!response) return { is: 'nothing', text: '' }
  const { status, head, body, whole } = response
  const text = Buffer.concat(body).toString('latin1')
  const closes = /\r\nconnection: close/i.test(head)
  if (status < 400) return { is: whole ? 'answer' : 'nothing', text }
  const said = whole && head.includes('application/problem+json')
  if (said) return { is: 'refusal', code: (JSON.parse(text) as { readonly code: RefusalCode }).code, text }
  return { is: whole || closes ? 'refusal' : 'nothing', text: head }
}

function targetOver(fake: FakeHttp, made: HttpTarget): FakeTarget {
  return {
    behave: (behaviour) => fake.behave(behaviour),
    get ran() {
      return fake.received.map(({ line }) => wordOf(line) ?? line)
    },
    get bytes() {
      return fake.size
    },
    get taken() {
      return fake.taken
    },
    get connections() {
      return fake.connections
    },
    unpermitted: (entries) => unpermitted(fake.received, entries),
    [Symbol.asyncDispose]: async () => {
      await made[Symbol.asyncDispose]()
      await fake[Symbol.asyncDispose]()
    },
  }
}

function wordOf(line: string): Word | undefined {
  return (Object.keys(LINES) as Word[]).find((word) => line.startsWith(`${LINES[word]} `))
}

/** The gateway's own. */
const OWN =
  /^(?:host: 127\.0\.0\.1:\d+|accept-encoding: identity|content-length: \d+|connection: (?:keep-alive|close))$/

/** Each request needs an allowed operation of its own, in whose record its method, path, fields and body stand. */
function unpermitted(received: readonly Received[], entries: readonly Entry[]): readonly string[] {
  const allowed = entries.flatMap((entry) =>
    entry.type === 'operation' && entry.decision === 'allow' ? [entry.text] : [],
  )
  return received.flatMap(({ line, fields, body }) => {
    const start = line.replace(/ HTTP\/1\.1$/, '')
    const at = allowed.findIndex((text) => text.split('\n')[0] === start && text.endsWith(body))
    const [text] = at < 0 ? [] : allowed.splice(at, 1)
    const unknown = fields
      .map((field) => field.replace(/^[^:]*/, (name) => name.toLowerCase()))
      .filter((field) => !OWN.test(field) && field !== `authorization: Bearer ${CREDENTIAL}`)
      .filter((field) => !text?.split('\n').includes(field))
    return text === undefined ? [line] : unknown
  })
}
