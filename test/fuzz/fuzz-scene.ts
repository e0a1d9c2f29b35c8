import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { setTimeout } from 'node:timers/promises'
import type { Approval, ApprovalRequest, Approvals } from '../../src/approvals/approvals.ts'
import type { RoleCredential } from '../../src/credentials/postgres-role.ts'
import { systemClock } from '../../src/gateway/clock.ts'
import { takeTurns } from '../../src/gateway/turns.ts'
import type { Decision, Identity } from '../../src/gateway/domain.ts'
import type { Core } from '../../src/gateway/gateway.ts'
import { newId } from '../../src/gateway/ids.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import { Secret } from '../../src/gateway/secret.ts'
import type { Policy } from '../../src/policy/policy.ts'
import type { CatalogReading } from '../../src/protocols/postgres/catalog.ts'
import { postgresTarget, type PostgresTarget } from '../../src/protocols/postgres/postgres-target.ts'
import { postgres } from '../../src/protocols/postgres/postgres.ts'
import type { Stored } from '../../src/record/recorder.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import { gatewayTo, openDoor, type Door } from '../conformance/door.ts'
import { LARGE_OBJECTS } from './calls.ts'
import { loadCatalog } from './corpus.ts'
import { CANCEL_KEY, TCP_EVERY } from './fuzz-target.ts'
import type { Ledger } from './ledger.ts'
import { NO_GRANTS } from '../no-grants.ts'
import { overTcp, Wire, type Hearing, type Line } from './wire.ts'

/** The gateway's PostgreSQL adapter and session, as they are, with everything around them scripted. */
export interface FuzzScene extends AsyncDisposable {
  readonly port: number
  /** A client's connection: in memory, and now and then over TCP; undefined when the other side ends it at once. */
  readonly dial: (hearing: Hearing) => Promise<Line | undefined>
  /** What `serve` threw: nothing ever should. */
  readonly thrown: readonly unknown[]
  /** Leases that were taken and not given back. */
  readonly lent: ReadonlySet<string>
  /** Resolves when every connection has been served to its end; rejects after `ms`. */
  quiet(ms: number): Promise<void>
}

export type FuzzSceneOptions = {
  readonly reader: SqlReader
  readonly ledger: Ledger
  readonly targetPort: number
  /** Without it the gateway has no certificate, and TLS fails. */
  readonly tls?: SecureContext
}

/** A vote that is still to come when the client asks to cancel, in ms. */
const LONG_VOTE_MS = 10
/** Of so many entries one takes its time to be stored: long enough for what is sent at once to arrive. */
const SLOW_EVERY = 7
export const TOKEN = 'a-token'
/** No client may ever see it. */
const LEASE_PASSWORD = 'LEASE-PASSWORD-HUSH'
/** Hidden values that captured rows and errors have, and the gateway's own. */
export const SECRETS = ['ada@example.com', 'bob@example.com', 'eve@example.com', 'HUSH-', CANCEL_KEY, LEASE_PASSWORD]
/** In ms. Longer than the gateway itself waits for anything: who waits for so long hangs. */
export const PATIENCE = 60_000

const AGENT: Identity = {
  kind: 'Agent',
  provider: 'test',
  subject: 'agent',
  groups: [],
  expiresAt: Date.now() + 3_600_000,
}

export async function startFuzzScene(options: FuzzSceneOptions): Promise<FuzzScene> {
  const lent = new Set<string>()
  const plain = gatewayTo<PostgresTarget, RoleCredential>(coreOf(options.ledger), targetOf(options, lent))
  const gateway = { ...plain, tls: options.tls ?? plain.tls }
  const protocol = postgres()
  const { close, ...door } = await openDoor((socket) => protocol.serve(socket, gateway, () => undefined))
  return { ...door, lent, dial: dialling(door), [Symbol.asyncDispose]: async () => close() }
}

function dialling({ port, admit }: Pick<Door, 'port' | 'admit'>): FuzzScene['dial'] {
  let dialled = 0
  return async (hearing) => {
    if (++dialled % TCP_EVERY === 0) return dialTcp(port, hearing)
    const wire = new Wire(hearing, dialled)
    admit(wire as unknown as Socket)
    return wire.line
  }
}

/** Undefined when the other side ends the connection first. */
export async function dialTcp(port: number, hearing: Hearing): Promise<Line | undefined> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined)
  return socket.closed ? undefined : overTcp(socket, hearing)
}

function coreOf(ledger: Ledger): Core {
  let seq = 0
  const turn = takingTime()
  return {
    clock: systemClock,
    turns: takeTurns(),
    policy: () => POLICY,
    recorder: {
      append: async (entry) => {
        await turn()
        ledger.recorded(entry)
        return { seq: ++seq } as Stored
      },
      checkpoint: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
    approvals: quickApprovals(ledger),
    grants: NO_GRANTS,
    authenticate: async (token) =>
      token === TOKEN ? { identity: AGENT } : { refusal: refuse('identity', 'The token is not valid.') },
    url: 'http://localhost',
    issuers: () => [{ provider: 'test', url: 'https://issuer.example' }],
    strangers: () => true,
    live: new Map(),
  }
}

/** To store an entry takes time, now and then: it is there no sooner than that, and none behind it is. */
function takingTime(): () => Promise<void> | undefined {
  let appended = 0
  let waiting: Promise<void> | undefined
  return () => {
    if (waiting || ++appended % SLOW_EVERY > 0) return waiting
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting = promise
    setImmediate(() => {
      waiting = undefined
      resolve()
    })
    return promise
  }
}

/** Two of three are approved as soon as they are asked for, the third is rejected. */
function quickApprovals(ledger: Ledger): Approvals {
  const open = new Map<string, Approval>()
  let asked = 0
  const request = async (made: ApprovalRequest): Promise<Approval> => {
    const [id, now] = [newId('apr', Date.now()), Date.now()]
    const pending = { ...made, id, state: 'pending', createdAt: now, expiresAt: now + 60_000, votes: [] } as const
    open.set(id, { ...pending, state: asked++ % 3 === 2 ? 'rejected' : 'approved' })
    return pending
  }
  const unused = (): never => {
    throw new Error('nobody votes here')
  }
  return {
    request,
    settled: async (id, _ms, signal) => {
      await setTimeout(asked % 4 === 0 ? LONG_VOTE_MS : 0, undefined, { signal }).catch(() => undefined)
      const settled = open.get(id)!
      if (signal.aborted) return { ...settled, state: 'pending' }
      open.delete(id)
      if (settled.state === 'approved') ledger.approved(id)
      return settled
    },
    spend: async () => true,
    withdraw: async (id) => void open.delete(id),
    vote: unused,
    find: unused,
    list: unused,
  }
}

/** UPDATE is held, DELETE is denied, everything else that can be read is allowed. */
const POLICY: Policy = {
  hash: 'test',
  decide: (_identity, operation): Decision => {
    const [rules, policy] = [['test'], 'test']
    const does = (wanted: string): boolean => operation.touches.some(({ action }) => action === wanted)
    if (does('sql.delete')) return { verdict: 'deny', rules, policy, refusal: refuse('denied', 'No deleting here.') }
    if (!does('sql.update')) return { verdict: 'allow', rules, policy }
    const wait = { waitMs: 5_000, ticketMs: 60_000, previews: [] }
    return { verdict: 'hold', rules, policy, groups: ['people'], quorum: 1, ...wait }
  },
  connect: () => ({ verdict: 'allow', rules: ['test'], policy: 'test', leaseMs: 600_000 }),
  unmasked: () => [],
  undecided: () => [],
  possibleActions: () => new Set(),
}

function targetOf({ reader, targetPort }: FuzzSceneOptions, lent: Set<string>): PostgresTarget {
  const catalog = { version: '1', relations: loadCatalog(), functions: [], operators: [] }
  const reading = async (): Promise<CatalogReading> => ({ catalog, missing: [], largeObjects: LARGE_OBJECTS })
  return postgresTarget({
    name: 'orders',
    reader,
    catalog: { get: reading, renew: reading },
    config: {
      url: `postgresql://127.0.0.1:${targetPort}/orders`,
      host: '127.0.0.1',
      port: targetPort,
      database: 'orders',
      tls: { mode: 'disable' },
      lease: { from: 'password', url: new Secret('unused') },
      sensitive: { pii: ['public.customers.email', 'public.customers.phone'] },
      detect: ['email'],
      inference: 'none',
      applicationName: 'session',
    },
    leases: {
      take: async ({ session }) => {
        lent.add(session)
        return {
          name: 'lent',
          credential: { user: 'lent', password: new Secret(LEASE_PASSWORD) },
          revoke: async () => {
            lent.delete(session)
            return { verified: true }
          },
        }
      },
      sweep: async () => [],
      check: async () => [],
      [Symbol.asyncDispose]: async () => undefined,
    },
  })
}
