import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createApprovals } from '../../src/approvals/create-approvals.ts'
import type { Approvals } from '../../src/approvals/approvals.ts'
import type { Identity } from '../../src/gateway/domain.ts'
import type { Core } from '../../src/gateway/gateway.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import type { Session } from '../../src/gateway/session.ts'
import { takeTurns } from '../../src/gateway/turns.ts'
import { createGrants } from '../../src/grants/grants.ts'
import type { Store } from '../../src/store/store.ts'
import { openDoor } from './door.ts'
import { TOKEN, type Client, type Driver, type FakeTarget, type Heard } from './driver.ts'
import { fakeClock, type FakeClock } from './fake-clock.ts'
import { fakeLeases, type FakeLeases } from './fake-leases.ts'
import { fakePolicy, type FakePolicy, type PolicyOptions } from './fake-policy.ts'
import { fakeRecorder, type FakeRecorder } from './fake-recorder.ts'

export type SceneOptions = Omit<PolicyOptions, 'actions'> & { readonly handshakeMs?: number }

/** A protocol with everything around it scripted: clients, target, log, leases, people. */
export interface Scene extends AsyncDisposable {
  readonly driver: Driver
  readonly target: FakeTarget
  readonly log: FakeRecorder
  readonly leases: FakeLeases
  readonly policy: FakePolicy
  readonly clock: FakeClock
  readonly approvals: Approvals
  /** What `serve` threw: nothing ever should. */
  readonly thrown: readonly unknown[]
  sessions(): readonly Session[]
  connect(): Promise<Client>
  knock(token?: string): Promise<Heard>
  /** A connection on which nothing was said. */
  dial(): Promise<Socket>
  /** Every client goes; resolves when every session has ended. */
  leave(): Promise<void>
  /** Grants of this scene's client that have not ended. */
  openGrants(): Promise<number>
}

/** Longer than any test, in ms. */
const HANDSHAKE_MS = 8_000

export async function startScene(driver: Driver, store: Store, options: SceneOptions = {}): Promise<Scene> {
  await using starting = new AsyncDisposableStack()
  const log = fakeRecorder()
  const leases = fakeLeases()
  const policy = fakePolicy({ ...options, actions: driver.actions })
  const agent = newAgent()
  const clock = fakeClock()
  const core = coreOf(store, clock, log, policy, agent)
  const { handshakeMs = HANDSHAKE_MS } = options
  const front = await driver.start({ core, leases: (credential) => leases.source(credential), handshakeMs })
  starting.use(front.target)
  const door = await openDoor((socket) => front.serve(socket))
  starting.defer(() => door.close())
  const clients = new Set<Client>()
  const parts = starting.move()
  return {
    driver,
    target: front.target,
    log,
    leases,
    policy,
    clock,
    approvals: core.approvals,
    thrown: door.thrown,
    sessions: () => [...core.live.values()],
    connect: async () => {
      const client = await driver.connect(door.port)
      clients.add(client)
      return client
    },
    knock: (token) => driver.knock(door.port, token),
    dial: async () => {
      const socket = connect({ host: '127.0.0.1', port: door.port, noDelay: true }).on('error', () => undefined)
      await once(socket, 'connect')
      return socket
    },
    leave: async () => {
      for (const client of clients) await client[Symbol.asyncDispose]()
      await door.quiet()
    },
    openGrants: async () => {
      const identity = `${agent.provider}/${agent.subject}`
      const open = store.query((db) =>
        db.selectFrom('grants').select('id').where('identity', '=', identity).where('ended_at', 'is', null).execute(),
      )
      return (await open).length
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client[Symbol.asyncDispose]()
      await parts.disposeAsync()
    },
  }
}

/** One for each scene: approvals and grants of scenes with one store stay apart. */
function newAgent(): Identity {
  const expiresAt = Date.now() + 24 * 3_600_000
  return { kind: 'Agent', provider: 'test', subject: `agent-${crypto.randomUUID()}`, groups: [], expiresAt }
}

function coreOf(store: Store, clock: FakeClock, recorder: FakeRecorder, policy: FakePolicy, agent: Identity): Core {
  const url = 'http://gateway.example'
  return {
    clock,
    policy: () => policy,
    recorder,
    approvals: createApprovals({ store, clock, url }),
    grants: createGrants({ store, clock }),
    authenticate: async (token) =>
      token === TOKEN ? { identity: agent } : { refusal: refuse('identity', 'The token is not good.') },
    url,
    issuers: () => [],
    strangers: () => true,
    turns: takeTurns(),
    live: new Map(),
  }
}
