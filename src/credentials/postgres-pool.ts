import type { ConnectionOptions } from 'node:tls'
import { Pool } from 'pg'
import type { PoolClient } from 'pg'
import { Fault } from '../gateway/fault.ts'
import { Secret } from '../gateway/secret.ts'

export type Row = Readonly<Record<string, unknown>>

/** Runs SQL and gives its rows. Several statements in one text (no `values` then) are one transaction; they give no rows. */
export type RunSql = (sql: string, values?: readonly unknown[]) => Promise<readonly Row[]>

/** The gateway's own connections to one database. */
export interface Database extends AsyncDisposable {
  /** The database's. */
  readonly name: string
  readonly user: string
  readonly query: RunSql
  /** Runs `work` on one connection, within a transaction that is always rolled back. */
  tryOut<T>(work: (query: RunSql) => Promise<T>): Promise<T>
  /** The same, and commits it unless `work` rejects. */
  change<T>(work: (query: RunSql) => Promise<T>): Promise<T>
}

export type DatabaseOptions = {
  /** Of the target: says which database. */
  readonly url: string
  /** Connection URL with user and password; its host and port are where to connect, its database does not count. */
  readonly login: Secret
  /** Left out: plain on loopback, verified TLS everywhere else. */
  readonly tls?: false | ConnectionOptions
}

/**
 * Settings of every connection of the gateway's own. Names resolve in pg_catalog only: a function that somebody planted
 * in `public` must never run with the rights of this login.
 */
const SETTINGS =
  '-c search_path=pg_catalog -c statement_timeout=15s -c lock_timeout=5s -c standard_conforming_strings=on'

/** At most four connections, closed when idle. Opens none yet. Fault `config` for a URL that names no user. */
export function openDatabase(options: DatabaseOptions): Database {
  const { user, password, server } = readLogin(options)
  const pool = new Pool({
    ...server,
    user,
    password: () => password.reveal(),
    options: SETTINGS,
    application_name: 'sallyport',
    max: 4,
    idleTimeoutMillis: 10_000,
    connectionTimeoutMillis: 5_000,
    allowExitOnIdle: true,
  })
  // An idle connection that breaks leaves the pool by itself; whoever asks next gets the error of connecting again.
  pool.on('error', () => {})
  return {
    name: server.database,
    user,
    query: (sql, values) => run(pool, sql, values),
    tryOut: (work) => transact(pool, work, 'ROLLBACK'),
    change: (work) => transact(pool, work, 'COMMIT'),
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      password[Symbol.dispose]()
    },
  }
}

export type Login = {
  readonly user: string
  readonly password: Secret
  readonly server: {
    readonly host: string
    readonly port: number
    readonly database: string
    readonly ssl: boolean | ConnectionOptions
  }
}

/** The two URLs read: a user and its password, and where to connect. */
export function readLogin(options: DatabaseOptions): Login {
  const target = readUrl(options.url, 'url')
  const login = readUrl(options.login.reveal(), 'login')
  const database = decodeURIComponent(target.pathname.slice(1))
  if (login.username === '') throw new Fault('config', 'The connection URL of a lease names no user.')
  if (database === '') throw new Fault('config', 'The URL of a postgres target names no database.')
  const host = login.hostname.replace(/^\[|\]$/g, '')
  return {
    user: decodeURIComponent(login.username),
    password: new Secret(decodeURIComponent(login.password)),
    server: { host, port: Number(login.port || 5432), database, ssl: options.tls ?? chooseTls(host, login) },
  }
}

/** Errors of the URL parser quote their input, which holds a password: not kept as the cause. */
function readUrl(text: string, what: 'url' | 'login'): URL {
  const url = URL.parse(text)
  if (url !== null && /^postgres(ql)?:$/.test(url.protocol) && url.hostname !== '') return url
  const name = what === 'url' ? 'The URL of a postgres target' : 'The connection URL of a lease'
  throw new Fault('config', `${name} does not read postgresql://host/database.`)
}

function chooseTls(host: string, login: URL): boolean {
  const isLoopback = host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
  return login.searchParams.get('sslmode') === 'disable' ? false : !isLoopback
}

async function run(
  connection: Pool | PoolClient,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  // Without values the text goes as a simple Query: only that takes several statements, and makes them one transaction.
  const result: unknown = await (values.length > 0 ? connection.query(sql, [...values]) : connection.query(sql))
  return Array.isArray(result) ? [] : (result as { readonly rows: readonly Row[] }).rows
}

/** A connection on which it has not ended as it should is closed, which rolls it back. */
async function transact<T>(pool: Pool, work: (query: RunSql) => Promise<T>, end: 'COMMIT' | 'ROLLBACK'): Promise<T> {
  const client = await pool.connect()
  let hasEnded = false
  try {
    await client.query('BEGIN')
    const result = await work((sql, values) => run(client, sql, values))
    await client.query(end)
    hasEnded = true
    return result
  } finally {
    client.release(!hasEnded)
  }
}

/** `server_version_num`: 160004 is 16.4. */
export async function serverVersion(query: RunSql): Promise<number> {
  const [row] = await query("SELECT current_setting('server_version_num')::int AS version")
  return Number(row?.['version'])
}
