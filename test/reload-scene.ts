import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from 'pg'
import type { StoredEntry } from '../src/record/entry.ts'
import { readLog } from '../src/record/read.ts'
import { connectTo, createToken, serve, type Serving } from './command.ts'
import { startShop, type Shop } from './shop.ts'
import { within } from './waiting.ts'

type Target = { name: string; labels: object; postgres: Record<string, unknown> }
type ConfigFile = { listen: Record<string, string>; targets: Target[] } & Record<string, unknown>
type Change = () => Promise<unknown>

/** A gateway in a process of its own, and what a test changes under it. Disposing it ends it with SIGTERM. */
export interface ReloadScene extends AsyncDisposable {
  readonly shop: Shop
  readonly gateway: Serving
  /** Of an agent of data-agents, of the person ann of analysts, of an operator who is a dba too. */
  readonly token: string
  readonly analyst: string
  readonly operator: string
  /** The contents of the config file and of the file of policies before anything changed. */
  readonly original: { readonly config: string; readonly policies: string }
  /** The file of policies. */
  readonly policies: string
  /** Calls the admin API as the operator. */
  api(path: string, body?: object): Promise<Record<string, unknown>>
  connect(token?: string): Promise<Client>
  records(): Promise<readonly StoredEntry[]>
  last<T extends StoredEntry['type']>(type: T): Promise<Extract<StoredEntry, { type: T }>>
  /** Changes files and waits until the gateway has taken them over by itself. */
  reloads(change: Change): Promise<void>
  /** Changes files and waits until the gateway has refused them. */
  refuses(change: Change): Promise<void>
  /** The original policies, and more. */
  writePolicies(more: string): Promise<void>
  writeConfig(change: (config: ConfigFile) => object): Promise<void>
  /** The original config with other keys of its target. */
  withTarget(keys: object): Promise<void>
  /** Ends every client and puts the original files into force. */
  restore(): Promise<void>
}

/** Watching, reading and validating take their time on a busy machine; no test is about how long. */
export const SLOWLY = 20_000

export const NO_ORDERS = `
@id("no-orders")
forbid (principal, action in Action::"read", resource == Table::"orders/public.orders");`

const ANALYSTS = `
@id("analysts-connect") permit (principal in Group::"analysts", action == Action::"connect", resource == Target::"orders");
@id("analysts-read") permit (principal in Group::"analysts", action in Action::"read", resource in Target::"orders");`

export const UNMASK = `
@id("analysts-see-pii") permit (principal in Group::"analysts", action == Action::"unmask", resource == DataClass::"orders/pii");`

export async function startReloadScene(): Promise<ReloadScene> {
  await using starting = new AsyncDisposableStack()
  const rules = await readFile(join(import.meta.dirname, 'scene.cedar'), 'utf8')
  const sensitive = { pii: ['public.customers.name'], card: ['public.customers.card'] }
  const shop = starting.use(await startShop({ policies: rules.replace('4s', '60s') + ANALYSTS, target: { sensitive } }))
  const policies = join(shop.directory, 'policies', 'scene.cedar')
  const original = { config: await readFile(shop.config, 'utf8'), policies: await readFile(policies, 'utf8') }
  const [token, analyst, operator] = [
    await createToken(shop.config),
    await createToken(shop.config, '--user', 'ann', '--group', 'analysts'),
    await createToken(shop.config, '--user', 'ops', '--group', 'platform', 'dba'),
  ]
  const gateway = await serve(shop.config)
  starting.defer(async () => {
    gateway.kill('SIGTERM')
    const { code } = await gateway.ended
    assert.deepEqual([code, await shop.roles()], [0, []])
  })
  const parts = starting.move()
  const clients: Client[] = []
  const api: ReloadScene['api'] = async (path, body) => {
    const response = await fetch(`http://127.0.0.1:${gateway.admin}/api/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${operator}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    })
    assert.equal(response.status, 200)
    return (await response.json()) as Record<string, unknown>
  }
  const records: ReloadScene['records'] = () =>
    Array.fromAsync(readLog({ dir: join(shop.directory, 'sallyport-data', 'log') }))
  const writeConfig: ReloadScene['writeConfig'] = (change) =>
    writeFile(shop.config, JSON.stringify(change(JSON.parse(original.config) as ConfigFile), null, 2))
  return {
    shop,
    gateway,
    token,
    analyst,
    operator,
    original,
    policies,
    api,
    records,
    writeConfig,
    connect: async (given = token) => {
      const client = await connectTo(gateway.postgres, given)
      clients.push(client)
      return client
    },
    last: async <T extends StoredEntry['type']>(type: T) =>
      (await records()).findLast((entry): entry is Extract<StoredEntry, { type: T }> => entry.type === type)!,
    reloads: (change) => hears(gateway, 'reloaded:', change),
    refuses: (change) => hears(gateway, 'is refused', change),
    writePolicies: (more) => writeFile(policies, original.policies + more),
    withTarget: (keys) =>
      writeConfig(({ targets: [target], ...config }) => {
        return { ...config, targets: [{ ...target, postgres: { ...target!.postgres, ...keys } }] }
      }),
    restore: async () => {
      await Promise.allSettled(clients.splice(0).map((client) => client.end()))
      await writeFile(shop.config, original.config)
      await writeFile(policies, original.policies)
      assert.equal('refused' in (await api('config/reload', {})), false)
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

async function hears(gateway: Serving, outcome: string, change: Change): Promise<void> {
  const count = (): number => {
    const { stdout, stderr } = gateway.said()
    return (stdout + stderr).split(outcome).length - 1
  }
  const before = count()
  await change()
  await within(`the gateway says "${outcome}"`, async () => count() > before, SLOWLY)
}

/** The number of the first line of a file with this text in it. */
export async function lineOf(file: string, text: string): Promise<number> {
  return (await readFile(file, 'utf8')).split('\n').findIndex((line) => line.includes(text)) + 1
}

/** How many orders a client sees. */
export async function orders(client: Client): Promise<number | null> {
  return (await client.query('SELECT * FROM orders')).rowCount
}

/** What a client is told when its session is ended; rejects when it goes on all the same. */
export async function farewell(client: Client): Promise<{ readonly code?: string; readonly message: string }> {
  const [error] = (await once(client, 'error', { signal: AbortSignal.timeout(SLOWLY) })) as [Error]
  return error
}
