import type { RoleCredential } from '../../src/credentials/postgres-role.ts'
import { systemClock, type Clock } from '../../src/gateway/clock.ts'
import type { Decision, Identity } from '../../src/gateway/domain.ts'
import type { Core } from '../../src/gateway/gateway.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import { takeTurns } from '../../src/gateway/turns.ts'
import { Secret } from '../../src/gateway/secret.ts'
import type { LeaseSource } from '../../src/grants/lease.ts'
import type { Policy } from '../../src/policy/policy.ts'
import type { CatalogReading } from '../../src/protocols/postgres/catalog.ts'
import { startFake, type FakeScript, type FakeTarget } from '../../src/protocols/postgres/fake.ts'
import { postgresTarget, type PostgresTarget } from '../../src/protocols/postgres/postgres-target.ts'
import { postgres } from '../../src/protocols/postgres/postgres.ts'
import type { Entry } from '../../src/record/entry.ts'
import type { Recorder, Stored } from '../../src/record/recorder.ts'
import type { CatalogColumn } from '../../src/sql/catalog.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import { startSqlReader } from '../../src/sql/worker-reader.ts'
import { gatewayTo, openDoor } from './door.ts'
import { fakeLeases } from './fake-leases.ts'
import { rawConnect, rawOpen, type RawClient } from '../raw-client.ts'
import { NO_GRANTS } from '../no-grants.ts'

/** The gateway's PostgreSQL adapter and session between a client and a fake target, everything around them scripted. */
export interface FakeScene extends AsyncDisposable {
  readonly fake: FakeTarget
  readonly port: number
  /** What was stored, in order; a `revoked` of a lease shows as its record. */
  readonly entries: readonly Entry[]
  /** What `serve` threw: nothing ever should. */
  readonly thrown: readonly unknown[]
  connect(): Promise<RawClient>
  /** A connection on which nothing was said. */
  open(): Promise<RawClient>
  /** Resolves when every session has ended and its lease is revoked. */
  quiet(): Promise<void>
}

export type FakeSceneOptions = FakeScript & {
  readonly clock?: Clock
  /** Called before an entry is stored: it may wait, or throw. */
  readonly beforeAppend?: (entry: Entry) => Promise<void> | void
}

/** One for a test file: it is a worker with the grammar of PostgreSQL in it. */
export function startReader(): SqlReader {
  return startSqlReader()
}

/** OID of the table `customers`, whose second column is sensitive. */
export const CUSTOMERS = 16_400

const column = (number: number, name: string, ...classes: readonly string[]): CatalogColumn => ({
  number,
  name,
  classes,
})
const CATALOG = {
  version: '1',
  relations: [
    {
      oid: CUSTOMERS,
      schema: 'public',
      name: 'customers',
      kind: 'table',
      columns: [column(1, 'id'), column(2, 'email', 'pii'), column(3, 'name')],
      reads: [],
    },
  ],
  functions: [],
  operators: [],
} as const

/** How sessions log in at a fake target. */
export const LENT: RoleCredential = { user: 'lent', password: new Secret('lent') }

const AGENT: Identity = {
  kind: 'Agent',
  provider: 'test',
  subject: 'agent',
  groups: [],
  expiresAt: Date.now() + 3_600_000,
}

export async function startFakeScene(reader: SqlReader, options: FakeSceneOptions = {}): Promise<FakeScene> {
  await using starting = new AsyncDisposableStack()
  const fake = starting.use(await startFake({ password: 'lent', ...options }))
  const entries: Entry[] = []
  const core = coreOf(entries, options)
  const target = customersAt(reader, fake.port, fakeLeases().source(LENT))
  const gateway = gatewayTo<PostgresTarget, RoleCredential>(core, target)
  const protocol = postgres()
  const door = await openDoor((socket) => protocol.serve(socket, gateway, () => undefined))
  starting.defer(() => door.close())
  const parts = starting.move()
  return {
    fake,
    port: door.port,
    entries,
    thrown: door.thrown,
    connect: () => rawConnect({ port: door.port, password: 'token' }),
    open: () => rawOpen(door.port),
    quiet: () => door.quiet(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

function coreOf(entries: Entry[], { beforeAppend, clock = systemClock }: FakeSceneOptions): Core {
  const recorder: Recorder = {
    append: async (entry) => {
      await beforeAppend?.(entry)
      return { seq: entries.push(entry) } as Stored
    },
    checkpoint: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }
  const unused = (): never => {
    throw new Error('nothing is held here')
  }
  return {
    clock,
    policy: () => POLICY,
    recorder,
    approvals: {
      request: unused,
      settled: unused,
      spend: unused,
      withdraw: unused,
      vote: unused,
      find: unused,
      list: unused,
    },
    grants: NO_GRANTS,
    authenticate: async () => ({ identity: AGENT }),
    url: 'http://localhost',
    issuers: () => [],
    strangers: () => true,
    turns: takeTurns(),
    live: new Map(),
  }
}

/** DELETE is denied, everything that can be read is allowed. */
const POLICY: Policy = {
  hash: 'test',
  decide: (_identity, operation): Decision => {
    const denied = operation.touches.some(({ action }) => action === 'sql.delete')
    const rules = ['test']
    if (!denied) return { verdict: 'allow', rules, policy: 'test' }
    return { verdict: 'deny', rules, policy: 'test', refusal: refuse('denied', 'No deleting here.') }
  },
  connect: () => ({ verdict: 'allow', rules: ['test'], policy: 'test', leaseMs: 600_000 }),
  unmasked: () => [],
  undecided: () => [],
  possibleActions: () => new Set(),
}

/** A target with the table `customers`, at the fake on this port. */
export function customersAt(reader: SqlReader, port: number, leases: LeaseSource<RoleCredential>): PostgresTarget {
  const reading = async (): Promise<CatalogReading> => ({ catalog: CATALOG, missing: [] })
  return postgresTarget({
    name: 'orders',
    reader,
    catalog: { get: reading, renew: reading },
    config: {
      url: `postgresql://127.0.0.1:${port}/orders`,
      host: '127.0.0.1',
      port,
      database: 'orders',
      tls: { mode: 'disable' },
      lease: { from: 'password', url: new Secret('unused') },
      sensitive: { pii: ['public.customers.email'] },
      detect: ['email'],
      inference: 'none',
      applicationName: 'client',
    },
    leases,
  })
}

/** The texts that were allowed to run, as recorded. */
export function allowed(entries: readonly Entry[]): readonly string[] {
  return entries.flatMap((entry) => (entry.type === 'operation' && entry.decision === 'allow' ? [entry.text] : []))
}
