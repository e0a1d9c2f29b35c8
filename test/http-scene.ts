import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Agent, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/gateway/clock.ts'
import { openLocalTokens, type TokenRequest } from '../src/identity/local-tokens.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { readLog } from '../src/record/read.ts'
import { startGateway, type Running } from '../src/start.ts'

/** What a target has received. */
export type Received = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }

export type Asking = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly token?: string
  readonly agent?: Agent
  readonly signal?: AbortSignal
}

/** A gateway in front of an HTTP server that notes what it gets, and what a test does with both. */
export interface HttpScene extends AsyncDisposable {
  readonly gateway: Running
  readonly config: string
  readonly received: Received[]
  /** What the target does, by method and path (`GET /v1/customers`), else 404. */
  readonly routes: Map<string, RequestListener>
  token(request?: Partial<TokenRequest>): Promise<string>
  /** A request through the gateway, by an agent of the group data-agents unless a token is given. */
  ask(path: string, asking?: Asking): Promise<Answer>
  /** Bytes as they are; everything that comes back until the gateway closes or says nothing more for a while. */
  raw(bytes: string): Promise<string>
  dial(): Socket
  records(): Promise<readonly StoredEntry[]>
  /** Calls the admin API. */
  api(token: string, path: string, body?: object): Promise<Record<string, unknown>>
}

export const SECRET = 'canary-of-the-target-0001'

const POLICIES = `
@id("agents-connect")
permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("agents-read-v1")
permit (principal in Group::"data-agents", action in Action::"read", resource in Path::"billing/v1");
@id("agents-note")
permit (principal in Group::"data-agents", action == Action::"http.post", resource == Path::"billing/v1/notes");
@id("refunds-need-finance") @hold("group:finance") @wait("4s") @ticket("60s")
permit (principal in Group::"data-agents", action == Action::"http.post", resource in Path::"billing/v1/refunds");
@id("no-exports") @remedy("Ask for one year at a time.")
forbid (principal, action == Action::"http.get", resource == Path::"billing/v1/exports")
when { !(context.args.hasTag("/query/year")) };
`

export type HttpSceneOptions = {
  /** Over the keys of the target. */
  readonly target?: object
  /** Instead of the target's own URL. */
  readonly url?: string
}

export async function startHttpScene(options: HttpSceneOptions = {}): Promise<HttpScene> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-http-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const { received, routes, port } = starting.use(await startTarget())
  const config = await writeConfig(directory, options, options.url ?? `http://127.0.0.1:${port}/base`)
  const gateway = await startGateway(config, { checkpoint: () => undefined, warn: () => undefined })
  starting.defer(() => gateway.drain())
  const { installation } = gateway
  const tokens = await openLocalTokens({ dataDir: gateway.config.data, installation, clock: systemClock })
  const token = (request: Partial<TokenRequest> = {}): Promise<string> =>
    Promise.resolve(tokens.mint({ kind: 'Agent', name: 'report-bot', groups: ['data-agents'], ...request }))
  const parts = starting.move()
  const door = gateway.http!
  return {
    gateway,
    config,
    received,
    routes,
    token,
    ask: async (path, asking = {}) => ask(door.port, path, asking, asking.token ?? (await token())),
    raw: (bytes) => raw(door.port, bytes),
    dial: () => connect(door.port, '127.0.0.1'),
    records: () => Array.fromAsync(readLog({ dir: join(gateway.config.data, 'log') })),
    api: async (given, path, body) => {
      const response = await fetch(`http://127.0.0.1:${gateway.admin.port}${path}`, {
        method: body ? 'POST' : 'GET',
        headers: { authorization: `Bearer ${given}`, ...(body && { 'content-type': 'application/json' }) },
        body: body && JSON.stringify(body),
      })
      return (await response.json()) as Record<string, unknown>
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

type TestTarget = AsyncDisposable & {
  readonly received: Received[]
  readonly routes: Map<string, RequestListener>
  readonly port: number
}

async function startTarget(): Promise<TestTarget> {
  const received: Received[] = []
  const routes = new Map<string, RequestListener>()
  const server = createServer((message, response) => {
    void (async () => {
      const { method = '', url = '', headers, rawHeaders } = message
      const body = Buffer.concat((await message.toArray()) as Buffer[]).toString()
      received.push({ method, url, headers, rawHeaders, body })
      const route = routes.get(`${method} ${url.replace('/base', '').split('?')[0]}`)
      if (route) route(message, response)
      else response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
    })()
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    received,
    routes,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

async function writeConfig(directory: string, options: HttpSceneOptions, url: string): Promise<string> {
  await mkdir(join(directory, 'policies'))
  await writeFile(join(directory, 'policies', 'scene.cedar'), POLICIES)
  await writeFile(join(directory, 'secret'), SECRET)
  const target = {
    url,
    lease: { bearer: 'file:./secret' },
    sensitive: { pii: ['$.customers[*].email', '$.customer.email'] },
    detect: ['credit_card'],
    ...options.target,
  }
  const listen = { admin: '127.0.0.1:0', postgres: '127.0.0.1:0', http: '127.0.0.1:0' }
  const config = join(directory, 'sallyport.yaml')
  await writeFile(config, JSON.stringify({ version: 1, listen, targets: [{ name: 'billing', http: target }] }))
  return config
}

function ask(port: number, path: string, asking: Asking, token: string): Promise<Answer> {
  const { method = 'GET', headers, body, agent, signal } = asking
  return new Promise((resolve, reject) => {
    const own = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    }
    const sent = request({ port, host: '127.0.0.1', path, method, agent, signal, headers: { ...own, ...headers } })
    sent.on('error', reject)
    sent.on('response', (answer) => {
      answer.toArray().then(
        (chunks) =>
          resolve({
            status: answer.statusCode!,
            headers: answer.headers,
            body: Buffer.concat(chunks as Buffer[]).toString(),
          }),
        reject,
      )
    })
    sent.end(body)
  })
}

/** A gateway that says nothing for so long, in ms, has said all. */
const QUIET_MS = 2_000

function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'utf8'))
    let text = ''
    socket.setTimeout(QUIET_MS, () => socket.destroy())
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}
