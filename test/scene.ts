import { join } from 'node:path'
import { Client } from 'pg'
import { systemClock, type Clock } from '../src/gateway/clock.ts'
import { openLocalTokens, type LocalTokens, type TokenRequest } from '../src/identity/local-tokens.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { readLog } from '../src/record/read.ts'
import { startGateway, type Running } from '../src/start.ts'
import type { TestPostgres } from './postgres.ts'
import { startShop, type ShopOptions } from './shop.ts'

/** A gateway in front of a real PostgreSQL with a small shop in it, and what a test does with both. */
export interface Scene extends AsyncDisposable {
  readonly postgres: TestPostgres
  readonly directory: string
  readonly config: string
  readonly gateway: Running
  readonly checkpoints: readonly string[]
  readonly warnings: readonly string[]
  token(request?: Partial<TokenRequest>): Promise<string>
  /** A connected client through the gateway; an agent of the group data-agents unless a token is given. */
  connect(token?: string): Promise<Client>
  /** Asks the target directly, as the superuser. */
  truth(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Session roles that exist at the target. */
  roles(): Promise<readonly string[]>
  records(): Promise<readonly StoredEntry[]>
  /** Calls the admin API; the status and the body. */
  api(token: string, path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }>
  /** Stops the gateway as SIGTERM does, and starts it again. */
  restart(): Promise<void>
}

export type SceneOptions = ShopOptions & { readonly clock?: Clock }

export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  await using starting = new AsyncDisposableStack()
  const shop = starting.use(await startShop(options))
  const { postgres, directory, config, truth, roles } = shop
  const checkpoints: string[] = []
  const warnings: string[] = []
  const output = { checkpoint: (line: string) => checkpoints.push(line), warn: (line: string) => warnings.push(line) }
  let gateway = await startGateway(config, output, options.clock)
  starting.defer(() => gateway.drain())
  const parts = starting.move()

  const token = async (request: Partial<TokenRequest> = {}): Promise<string> =>
    (await localTokens(gateway)).mint({ kind: 'Agent', name: 'report-bot', groups: ['data-agents'], ...request })
  return {
    postgres,
    directory,
    config,
    get gateway() {
      return gateway
    },
    checkpoints,
    warnings,
    token,
    connect: async (given) => connect(gateway, given ?? (await token())),
    truth,
    roles,
    records: () => Array.fromAsync(readLog({ dir: join(gateway.config.data, 'log') })),
    api: (given, path, body) => api(gateway, given, path, body),
    restart: async () => {
      await gateway.drain()
      gateway = await startGateway(config, output, options.clock)
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

function localTokens({ config, installation }: Running): Promise<LocalTokens> {
  return openLocalTokens({ dataDir: config.data, installation, clock: systemClock })
}

async function connect({ postgres }: Running, password: string): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port: postgres.port, user: 'agent', database: 'orders', password })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function api(
  { admin }: Running,
  token: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${admin.port}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
