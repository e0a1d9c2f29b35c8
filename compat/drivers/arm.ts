import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { serverTls } from '../../src/gateway/certificate.ts'
import { createToken, serve } from '../../test/command.ts'
import { startPostgres, type TestPostgres } from '../../test/postgres.ts'
import type { Suite } from './suite.ts'

/** Where a suite connects to: a PostgreSQL 18 of its own, or a gateway in front of one. */
export interface Arm extends AsyncDisposable {
  readonly name: 'directly' | 'through the gateway'
  /** On 127.0.0.1. */
  readonly port: number
  readonly password: string
  /** Connection URL of the superuser at the server itself. */
  readonly server: string
}

/** Whatever the client asks is permitted: what differs then is the gateway's doing. */
const POLICIES = `
@id("all-connect") permit (principal, action == Action::"connect", resource);
@id("all-do") permit (principal, action, resource);
@id("no-walls") permit (principal, action == Action::"sql.privileged", resource);
`

export async function openArm(name: Arm['name'], suite: Suite): Promise<Arm> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-compat-'))
  await chmod(directory, 0o755)
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const postgres = starting.use(await startServer(directory, suite))
  const server = postgres.admin
  const way = name === 'directly' ? directly(postgres) : starting.use(await through(directory, postgres, suite))
  const parts = starting.move()
  return { name, server, port: way.port, password: way.password, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

async function startServer(directory: string, suite: Suite): Promise<TestPostgres> {
  const tls = await writeTls(directory)
  const hba = suite.hba && join(directory, 'pg_hba.conf')
  if (hba !== undefined) await writeFile(hba, `${suite.hba!.join('\n')}\n`)
  const settings = [...tls, ...suite.settings, ...(hba === undefined ? [] : [`hba_file=${hba}`])]
  await using starting = new AsyncDisposableStack()
  const postgres = starting.use(await startPostgres({ settings }))
  for (const sql of suite.setup) await postgres.query(sql)
  for (const database of suite.databases) {
    if (!['postgres', 'template1'].includes(database)) await postgres.query(`CREATE DATABASE ${database}`)
  }
  starting.move()
  return postgres
}

/** The server takes its key only if it belongs to whom it runs as: `nobody`, where this is run by root. */
async function writeTls(directory: string): Promise<readonly string[]> {
  const { certificate, key } = await serverTls(directory, undefined, [])
  const files = { certificate: join(directory, 'server.crt'), key: join(directory, 'server.key') }
  await writeFile(files.certificate, certificate)
  await writeFile(files.key, key, { mode: 0o600 })
  if (userInfo().uid === 0) execFileSync('chown', ['nobody', files.key])
  return ['ssl=on', `ssl_cert_file=${files.certificate}`, `ssl_key_file=${files.key}`]
}

type Way = Pick<Arm, 'port' | 'password'>

function directly({ port, admin }: TestPostgres): Way {
  return { port, password: new URL(admin).password }
}

/** A gateway that is a process of its own; every session logs in as the superuser. */
async function through(directory: string, postgres: TestPostgres, suite: Suite): Promise<Way & AsyncDisposable> {
  await mkdir(join(directory, 'policies'))
  await writeFile(join(directory, 'policies', 'all.cedar'), POLICIES)
  const targets = suite.databases.map((database) => {
    const url = postgres.url(database, 'postgres', new URL(postgres.admin).password)
    const environment = `URL_OF_${database.toUpperCase()}`
    const config = { url: postgres.url(database), lease: { password: `env:${environment}` } }
    return { target: { name: database, postgres: config }, environment, url }
  })
  const listen = { admin: '127.0.0.1:0', postgres: '127.0.0.1:0' }
  const config = join(directory, 'sallyport.yaml')
  await writeFile(config, JSON.stringify({ version: 1, listen, targets: targets.map(({ target }) => target) }))
  const environment = Object.fromEntries(targets.map(({ environment, url }) => [environment, url]))
  const serving = await serve(config, environment)
  const password = await createToken(config, '--agent', 'compat', '--for', '4h')
  return { port: serving.postgres, password, [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose]() }
}
