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
import { gatewayTo, openDoor } from '../conformance/door.ts'
import { LARGE_OBJECTS } from './calls.ts'
import { loadCatalog } from './corpus.ts'
import { CANCEL_KEY } from './fuzz-target.ts'
import type { Ledger } from './ledger.ts'
import { NO_GRANTS } from '../no-grants.ts'

/** The gateway's PostgreSQL adapter and session, as they are, with everything around them scripted. */
export interface FuzzScene extends AsyncDisposable {
  readonly port: number
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
}

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
  const gateway = gatewayTo<PostgresTarget, RoleCredential>(coreOf(options.ledger), targetOf(options, lent))
  const protocol = postgres()
  const { close, ...door } = await openDoor((socket) => protocol.serve(socket, gateway, () => undefined))
  return { ...door, lent, [Symbol.asyncDispose]: async () => close() }
}

function coreOf(ledger: Ledger): Core {
  let seq = 0
  return {
    clock: systemClock,
    turns: takeTurns(),
    policy: () => POLICY,
    recorder: {
      append: async (entry) => {
        ledger.recorded(entry)
        return { seq: ++seq } as Stored
      },
      checkpoint: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
    approvals: quickApprovals(),
    grants: NO_GRANTS,
    authenticate: async (token) =>
      token === TOKEN ? { identity: AGENT } : { refusal: refuse('identity', 'The token is not valid.') },
    url: 'http://localhost',
    issuers: () => [],
    strangers: () => true,
    live: new Map(),
  }
}

/** Two of three are approved as soon as they are asked for, the third is rejected. */
function quickApprovals(): Approvals {
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
    settled: async (id) => {
      await setTimeout(0)
      const settled = open.get(id)!
      open.delete(id)
      return settled
    },
    spend: async () => true,
    withdraw: async () => undefined,
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
