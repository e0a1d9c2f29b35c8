import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/gateway/clock.ts'
import { openLocalTokens } from '../../src/identity/local-tokens.ts'
import { startGateway } from '../../src/start.ts'
import { startPostgres, type TestPostgres } from '../../test/postgres.ts'
import type { Folders } from './folders.ts'
import { runScript, type Door } from './script.ts'

/** One of the two ways to a PostgreSQL of its own. */
export interface Arm extends AsyncDisposable {
  /** A new database, made from the template; disposing it takes the way to it away. */
  fresh(): Promise<Door & AsyncDisposable>
  outputOf(name: string): string
  /** Statements the server took so far, and errors it answered. */
  counts(): { readonly statements: number; readonly errors: number }
}

/** The target has the database's name, so that \connect finds it. */
const DATABASE = 'regression'
const TEMPLATE = 'regress_template'

/** What pg_regress sets; and nothing that comes and goes by itself. */
const SETTINGS = [
  'intervalstyle=postgres_verbose',
  'timezone_abbreviations=Default',
  'max_prepared_transactions=2',
  'autovacuum=off',
  'log_statement=all',
  'wal_level=logical',
  'log_line_prefix=%a/%d ',
]

const POLICIES = `
@id("connect") @lease("60m") permit (principal, action == Action::"connect", resource);
@id("everything") permit (principal, action, resource);
@id("without-walls") permit (principal, action == Action::"sql.privileged", resource);
`

export async function openArm(way: 'direct' | 'through', folders: Folders, scripts: string): Promise<Arm> {
  const postgres = await startPostgres({ settings: SETTINGS })
  const outputOf = (name: string): string => join(folders.printed, `${name}.${way}.out`)
  await postgres.query(`CREATE DATABASE ${TEMPLATE}`)
  await runScript(join(scripts, 'test_setup.sql'), doorOf(postgres, TEMPLATE, folders), outputOf('test_setup'))
  const roles = await rolesOf(postgres)
  return {
    outputOf,
    fresh: async () => {
      await renew(postgres, roles)
      const door = doorOf(postgres, DATABASE, folders)
      return way === 'direct' ? { ...door, [Symbol.asyncDispose]: async () => {} } : throughGateway(postgres, door)
    },
    counts: () => {
      const lines = postgres.logLines().filter((line) => line.startsWith(`psql/${DATABASE} `))
      const having = (text: RegExp): number => lines.filter((line) => text.test(line)).length
      return { statements: having(/^\S+ LOG: {2}(statement|execute \S+): /), errors: having(/^\S+ ERROR: {2}/) }
    },
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}

function doorOf(postgres: TestPostgres, database: string, folders: Folders): Door {
  return { port: postgres.port, user: 'postgres', password: new URL(postgres.admin).password, database, folders }
}

async function rolesOf(postgres: TestPostgres): Promise<readonly string[]> {
  return (await postgres.query('SELECT rolname FROM pg_roles')).map(({ rolname }) => String(rolname))
}

/** A script may have left prepared transactions, subscriptions and roles, which outlive its database or keep it. */
async function renew(postgres: TestPostgres, roles: readonly string[]): Promise<void> {
  const url = postgres.admin.replace(/\/postgres$/, `/${DATABASE}`)
  const attempt = (sql: string, as?: string): Promise<unknown> => postgres.query(sql, [], as).catch(() => undefined)
  for (const { gid } of await postgres.query('SELECT gid FROM pg_prepared_xacts'))
    await attempt(`ROLLBACK PREPARED '${String(gid)}'`, url)
  for (const { subname } of await postgres.query('SELECT subname FROM pg_subscription')) {
    const name = quoted(String(subname))
    for (const change of ['DISABLE', 'SET (slot_name = NONE)'])
      await attempt(`ALTER SUBSCRIPTION ${name} ${change}`, url)
    await attempt(`DROP SUBSCRIPTION ${name}`, url)
  }
  await postgres.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`)
  for (const role of await rolesOf(postgres)) if (!roles.includes(role)) await attempt(`DROP ROLE ${quoted(role)}`)
  await postgres.query(`CREATE DATABASE ${DATABASE} TEMPLATE ${TEMPLATE}`)
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A gateway of its own for each script: nothing of another one is known to it. */
async function throughGateway(postgres: TestPostgres, door: Door): Promise<Door & AsyncDisposable> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-regress-gateway-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const config = await writeConfig(directory, postgres, door)
  const output = { checkpoint: () => undefined, warn: (line: string) => console.error(line) }
  const gateway = await startGateway(config, output)
  starting.defer(() => gateway.drain())
  const { config: read, installation } = gateway
  const tokens = await openLocalTokens({ dataDir: read.data, installation, clock: systemClock })
  const password = await tokens.mint({ kind: 'User', name: 'tester', groups: [] })
  const parts = starting.move()
  return { ...door, port: gateway.postgres.port, password, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

async function writeConfig(directory: string, postgres: TestPostgres, door: Door): Promise<string> {
  await mkdir(join(directory, 'policies'))
  await writeFile(join(directory, 'policies', 'everything.cedar'), POLICIES)
  await writeFile(join(directory, 'login'), postgres.url(DATABASE, 'postgres', door.password))
  const target = { url: postgres.url(DATABASE), lease: { password: 'file:./login' } }
  const config = {
    version: 1,
    listen: { admin: '127.0.0.1:0', postgres: '127.0.0.1:0' },
    targets: [{ name: DATABASE, postgres: target }],
  }
  const file = join(directory, 'sallyport.yaml')
  await writeFile(file, JSON.stringify(config, null, 2))
  return file
}
