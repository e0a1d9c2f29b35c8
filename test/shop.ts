import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres, type TestPostgres } from './postgres.ts'

/** A real PostgreSQL with a small shop in it, and the config of a gateway in front of it, which is not started yet. */
export interface Shop extends AsyncDisposable {
  readonly postgres: TestPostgres
  readonly directory: string
  /** The config file. */
  readonly config: string
  /** Asks the target directly, as the superuser. */
  readonly truth: (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Session roles that exist at the target. */
  readonly roles: () => Promise<readonly string[]>
}

export type ShopOptions = {
  /** What the database is made of; scene.sql unless given. */
  readonly sql?: string
  /** Instead of those of scene.cedar. */
  readonly policies?: string
  /** Added to the policies. */
  readonly rules?: string
  /** Settings of the PostgreSQL server, each `name=value`. */
  readonly settings?: readonly string[]
  /** Directory with the programs of another version of PostgreSQL, as for `startPostgres`. */
  readonly binaries?: string
  /** Over the keys of the target. */
  readonly target?: object
  /** Over the keys at the top of the config file. */
  readonly config?: object
}

/** The password of the gateway's own login at the target: nobody but the gateway may ever see it. */
export const ADMIN_PASSWORD = 'the-gateway'

export async function startShop(options: ShopOptions = {}): Promise<Shop> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-scene-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const postgres = starting.use(await startPostgres({ settings: options.settings, binaries: options.binaries }))
  await postgres.query('CREATE DATABASE orders')
  const superuser = postgres.admin.replace(/\/postgres$/, '/orders')
  const truth: Shop['truth'] = (sql) => postgres.query(sql, undefined, superuser)
  await truth(options.sql ?? (await readFile(join(import.meta.dirname, 'scene.sql'), 'utf8')))
  const config = await writeConfig(directory, postgres, options)
  const parts = starting.move()
  return {
    postgres,
    directory,
    config,
    truth,
    roles: async () =>
      (await postgres.query(`SELECT rolname FROM pg_roles WHERE rolname LIKE 'sp\\_%'`)).map(({ rolname }) =>
        String(rolname),
      ),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

async function writeConfig(directory: string, postgres: TestPostgres, options: ShopOptions): Promise<string> {
  await mkdir(join(directory, 'policies'))
  const policies = options.policies ?? (await readFile(join(import.meta.dirname, 'scene.cedar'), 'utf8'))
  await writeFile(join(directory, 'policies', 'scene.cedar'), `${policies}\n${options.rules ?? ''}`)
  await writeFile(join(directory, 'admin-url'), postgres.url('orders', 'sallyport', ADMIN_PASSWORD))
  const target = {
    url: postgres.url('orders'),
    lease: { 'postgres-role': { admin: 'file:./admin-url', member_of: ['orders_writer'], owner: 'orders_owner' } },
    sensitive: { pii: ['public.customers.email'], card: ['public.customers.card'] },
    detect: ['credit_card', 'email'],
    ...options.target,
  }
  const config = {
    version: 1,
    listen: { admin: '127.0.0.1:0', postgres: '127.0.0.1:0' },
    targets: [{ name: 'orders', labels: { env: 'test' }, postgres: target }],
    admin: { operators: ['platform'], auditors: ['security'] },
    ...options.config,
  }
  const file = join(directory, 'sallyport.yaml')
  await writeFile(file, JSON.stringify(config, null, 2))
  return file
}
