import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client, type DatabaseError } from 'pg'
import type { Refusal } from '../../src/gateway/domain.ts'
import { systemClock } from '../../src/gateway/clock.ts'
import { openLocalTokens, type TokenRequest } from '../../src/identity/local-tokens.ts'
import type { StoredEntry } from '../../src/record/entry.ts'
import { readPublicKey } from '../../src/record/key.ts'
import { readLog } from '../../src/record/read.ts'
import { verifyLog } from '../../src/record/verify.ts'
import { openStore } from '../../src/store/store.ts'
import { connectTo, serve, type Serving } from '../command.ts'
import { ADMIN_PASSWORD, startShop, type Shop, type ShopOptions } from '../shop.ts'
import { SLEEPERS, within as withinTime } from '../waiting.ts'
import { startMiddleman, type Middleman } from './middleman.ts'

/** A gateway that is a process of its own, with somebody between it and a real PostgreSQL that writes down what it runs. */
export interface Scene extends AsyncDisposable {
  readonly shop: Shop
  /** Between the sessions and PostgreSQL. */
  readonly sessions: Middleman
  /** Between the gateway's own login and PostgreSQL. */
  readonly own: Middleman
  readonly gateway: Serving
  /** Of an agent that may read, insert, and call functions. */
  readonly token: string
  /** The data directory. */
  readonly data: string
  /** The data directory's `log`. */
  readonly log: string
  /** Another token. */
  mint(request: TokenRequest): Promise<string>
  connect(token?: string): Promise<Client>
  records(): Promise<readonly StoredEntry[]>
  /** Waits for the end of the gateway, which somebody has killed, and starts it again. */
  again(): Promise<void>
  /** Calls the admin API; the status and the body. */
  api(token: string, path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }>
  /** What the sessions ran at the target, in order, as the target's own log has it. */
  ran(): readonly Run[]
  /** After every test: whoever is still connected goes, no role is left, nothing ran that has no record, and the log verifies. */
  settled(): Promise<void>
}

export type Run = { readonly role: string; readonly text: string }

export type SceneOptions = ShopOptions & {
  /** Of the gateway's process. */
  readonly environment?: NodeJS.ProcessEnv
  /** Done to the data directory before the gateway starts, and undone after it has ended. */
  readonly prepare?: (data: string) => Promise<AsyncDisposable>
}

/** Roles of sessions are revoked, or revoked later by the sweep, within this time in ms. */
const REVOKED_MS = 20_000
const PATIENCE_MS = 8_000

export async function startScene({ environment = {}, prepare, ...options }: SceneOptions = {}): Promise<Scene> {
  await using starting = new AsyncDisposableStack()
  const [sessions, own] = [starting.use(await startMiddleman()), starting.use(await startMiddleman())]
  const shop = starting.use(await startShop(throughMiddlemen(options, sessions)))
  for (const middleman of [sessions, own]) middleman.lead(shop.postgres.port)
  const login = `postgresql://sallyport:${ADMIN_PASSWORD}@127.0.0.1:${own.port}/orders`
  await writeFile(join(shop.directory, 'admin-url'), login)
  const data = join(shop.directory, 'sallyport-data')
  if (prepare) starting.use(await prepare(data))
  let gateway = await serve(shop.config, environment)
  starting.defer(() => gateway[Symbol.asyncDispose]())
  const token = await mint(data, { kind: 'Agent', name: 'report-bot', groups: ['data-agents', 'sleepers'] })
  const log = join(data, 'log')
  let before = ''
  const clients: Client[] = []
  const records = (): Promise<readonly StoredEntry[]> => Array.fromAsync(readLog({ dir: log }))
  const ran = (): readonly Run[] => statements(shop.postgres.logLines())
  const parts = starting.move()
  return {
    shop,
    sessions,
    own,
    get gateway() {
      return gateway
    },
    token,
    data,
    log,
    mint: (request) => mint(data, request),
    connect: async (given = token) => {
      const client = await connectTo(gateway.postgres, given)
      clients.push(client)
      return client
    },
    records,
    again: async () => {
      before += (await gateway.ended).stdout
      gateway = await serve(shop.config, environment)
    },
    api: (given, path, body) => api(gateway.admin, given, path, body),
    ran,
    settled: async () => {
      clients.splice(0).forEach(vanish)
      await within('no role is left', async () => (await shop.roles()).length === 0, REVOKED_MS)
      assert.deepEqual(unrecorded(ran(), await records()), [])
      await verifies(data, before + gateway.said().stdout)
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

function throughMiddlemen(options: ShopOptions, sessions: Middleman): ShopOptions {
  const settings = ['log_statement=all', 'log_line_prefix=<%u> ', ...(options.settings ?? [])]
  const url = `postgresql://127.0.0.1:${sessions.port}/orders`
  return { ...options, settings, rules: `${SLEEPERS}\n${options.rules ?? ''}`, target: { url, ...options.target } }
}

/** What the gateway asks for itself in a session. */
const ITS_OWN = /^(SELECT pg_catalog\.unnest\(pg_catalog\.current_schemas|EXPLAIN \(FORMAT JSON\) )/

function statements(lines: readonly string[]): readonly Run[] {
  return lines.flatMap((line) => {
    const [, role, text] = /^<(sp_\w+)> LOG: {2}(?:statement|execute [^:]+): (.*)$/.exec(line) ?? []
    return role === undefined || text === undefined || ITS_OWN.test(text) ? [] : [{ role, text }]
  })
}

/** What the target ran more often than records permit it. */
export function unrecorded(ran: readonly Run[], records: readonly StoredEntry[]): readonly Run[] {
  const leases = new Map(
    records.flatMap((each) => (each.type === 'session.opened' ? [[each.session, each.lease]] : [])),
  )
  const permitted = records.flatMap((each) =>
    each.type === 'operation' && each.decision === 'allow' && each.stage === 'execute'
      ? [JSON.stringify({ role: leases.get(each.session), text: each.text })]
      : [],
  )
  return ran.filter(({ role, text }) => {
    const at = permitted.indexOf(JSON.stringify({ role, text }))
    if (at >= 0) permitted.splice(at, 1)
    return at < 0
  })
}

async function api(
  port: number,
  token: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** Looks until it is so; fails when it is not within 8 s, whatever else the machine has to do. */
export function within(what: string, isSo: () => Promise<boolean>, ms = PATIENCE_MS): Promise<void> {
  return withinTime(what, isSo, ms)
}

/** The error as the client has it, and the refusal in its DETAIL. */
export type Told = {
  readonly severity: string | undefined
  readonly code: string | undefined
  readonly refusal: Refusal['code'] | undefined
  readonly message: string
}

/** The error that this must end with; `ends` keeps the connection open for what else it is told. */
export async function told(work: Promise<unknown>): Promise<Told> {
  const error = await work.then(
    () => assert.fail('it was not refused'),
    (error: DatabaseError) => error,
  )
  const { severity, code, message, detail } = error
  const refusal = detail?.startsWith('{') ? (JSON.parse(detail) as Refusal).code : undefined
  return { severity, code, refusal, message }
}

/** A client's connection goes as when its machine has lost its power. */
export function vanish(client: Client): void {
  ;(client as unknown as { connection: { stream: { resetAndDestroy(): void } } }).connection.stream.resetAndDestroy()
}

async function mint(dataDir: string, request: TokenRequest): Promise<string> {
  await using store = await openStore(dataDir)
  const tokens = await openLocalTokens({ dataDir, installation: store.installation, clock: systemClock })
  return tokens.mint(request)
}

/** The log, of a gateway that may be running, is whole up to the last checkpoint that the gateway printed, if it did. */
async function verifies(data: string, printed: string): Promise<void> {
  const publicKey = readPublicKey(await readFile(join(data, 'keys', 'log.pub.pem'), 'utf8'))
  const checkpoints = printed.includes('sallyport-checkpoint') ? printed.split('\n') : undefined
  const found = await verifyLog({ dir: join(data, 'log'), publicKey, checkpoints })
  assert.deepEqual([found.verdict, found.problems], ['intact', []])
}

/** Bytes of memory that a process has. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

const run = promisify(execFile)

/**
 * From now on the process cannot write a file beyond this length: writes give as many bytes as fit, then EFBIG (setrlimit(2),
 * RLIMIT_FSIZE). Undefined: it can again. `prlimit` is of util-linux.
 */
export async function limitFiles(pid: number, bytes: number | undefined): Promise<void> {
  await run('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`])
}
