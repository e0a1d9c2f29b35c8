import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { AdminGroups } from './admin/access.ts'
import { createAdmin } from './admin/admin.ts'
import { connectingTo } from './admin/connecting.ts'
import { serveAdmin } from './admin/serve-admin.ts'
import { besides, createTokenService, TOKEN_SEGMENTS } from './admin/oauth.ts'
import { createApprovals } from './approvals/create-approvals.ts'
import { openConfig } from './config/config.ts'
import type { Endpoint } from './config/fields.ts'
import { allowance } from './gateway/allowance.ts'
import { watchFiles } from './config/watch.ts'
import type { ServerTls } from './gateway/certificate.ts'
import { systemClock, type Clock } from './gateway/clock.ts'
import type { Refusal, SessionId } from './gateway/domain.ts'
import { openSession, type Core, type Gateway } from './gateway/gateway.ts'
import { openGrantDesk } from './gateway/grant-desk.ts'
import { takeTurns } from './gateway/turns.ts'
import { listen, type Listener, type Serve } from './gateway/listener.ts'
import { recordExchange } from './gateway/record-exchange.ts'
import type { Protocol, Target } from './gateway/protocol.ts'
import { createGrants } from './grants/grants.ts'
import { createExchange } from './identity/exchange.ts'
import { openLocalTokens, type LocalTokens } from './identity/local-tokens.ts'
import { startPolicyEngine } from './policy/load-policies.ts'
import { http } from './protocols/http/http.ts'
import { postgres } from './protocols/postgres/postgres.ts'
import { firstInForce, type Foundation, type InForce } from './in-force.ts'
import { voteEntry } from './record/entry.ts'
import { loadLogKey } from './record/key.ts'
import { openRecorder } from './record/open-recorder.ts'
import type { Recorder } from './record/recorder.ts'
import { sayFailures } from './record/say-failures.ts'
import { openRegistry, type Registry } from './registry.ts'
import { createReloading, type Reloading, type ReloadStatus } from './reload.ts'
import { createReview, type Review } from './review.ts'
import { startReplica } from './store/replicas.ts'
import { sessionsIndex, type SessionsIndex } from './store/sessions-index.ts'
import { openStore, type Store } from './store/store.ts'
import { watchedStore } from './store/watched-store.ts'
import { sweepOrphans } from './sweep.ts'
import { PROTOCOLS, type GatewayConfig } from './targets.ts'

/** Where a gateway says what it does, a line at a time. Checkpoint lines are to leave the machine. */
export type Output = { readonly checkpoint: (line: string) => void; readonly warn: (line: string) => void }

/** A gateway that accepts connections. `config` and `tls` are those in force. */
export interface Running {
  readonly config: GatewayConfig
  readonly installation: string
  readonly url: string
  readonly tls: ServerTls
  readonly admin: Listener
  readonly postgres: Listener
  /** Absent when neither `listen.http` nor a target asks for it. */
  readonly http?: Listener
  /** Puts the config and the policies into force as the files are now; or refuses them, and goes on as before. */
  readonly reload: Reloading['reload']
  /** From now on does so by itself when they change; `told` hears how each time. */
  watch(told: (status: ReloadStatus) => void): void
  /** Takes nothing new, lets what runs end within a limit, revokes every lease, closes the log. */
  drain(): Promise<void>
}

/** What outlives the process. */
type State = {
  readonly store: Store
  readonly replica: string
  readonly index: SessionsIndex
  readonly recorder: Recorder
}

/** Connections without an identity that are recorded, at most. */
const STRANGERS_PER_SECOND = 10
/** How often roles are looked for that a crash, or a target that was down, left behind; in ms. */
const SWEEP_MS = 10_000
/** Where HTTP clients come in when there are targets for them and the config does not say. */
const HTTP_AT: Endpoint = { host: '127.0.0.1', port: 8421 }
/** How long connections may last once the gateway drains, in ms. */
const DRAIN_MS = 15_000

/** Puts a gateway together out of its config file and starts it. Throws a Fault that says what is wrong. */
export async function startGateway(file: string, output: Output, clock: Clock = systemClock): Promise<Running> {
  await using starting = new AsyncDisposableStack()
  const { config, reads } = await openConfig(file, PROTOCOLS)
  const state = await openState(config, clock, output, starting)
  const { foundation, ruling } = await openRuling(config, state.store.installation, clock)
  const admin = await listenLater('admin', config.listen.admin.at, output)
  starting.defer(() => admin.listener.close(0))
  const url = config.url ?? `http://${admin.listener.host}:${admin.listener.port}`
  const core = openCore(ruling, state, clock, url)
  const registry = await openTargets(config, core, state, output, starting)

  const review = createReview({ live: core.live, inForce: () => ruling.inForce, registry, warn: output.warn })
  const draining = new AbortController()
  const tokens = openTokenService(core, foundation.local, output)
  const doors = await openDoors({ core, ruling, review, registry, tokens, draining: draining.signal }, output, starting)
  const reloading = await createReloading({
    foundation,
    inForce: () => ruling.inForce,
    enforce: (next) => {
      ruling.inForce = next
      review.changed()
    },
    registry,
    http: doors.http !== undefined,
    reads,
    append: (entry) => state.recorder.append(entry, 'synced'),
    warn: output.warn,
  })
  const desk = starting.use(
    await openGrantDesk({ core, warn: output.warn, resourceOf: (name) => registry.find(name)?.target.resource }),
  )
  const listeners = [admin.listener, doors.postgres, ...(doors.http ? [doors.http] : [])]
  const app = createAdmin({
    authenticate: core.authenticate,
    approvals: core.approvals,
    grants: core.grants,
    desk,
    connecting: (name) => {
      const target = registry.find(name)?.config
      return target && connectingTo({ url, postgres: doors.postgres.port, http: doors.http?.port }, target)
    },
    clock,
    sessions: state.index,
    admin: groupsOf(ruling),
    url,
    readiness: () => listeners.every(({ accepting }) => accepting) && !draining.signal.aborted,
    reloading,
    log: (error) => output.warn(`admin: ${String(error)}`),
  })
  admin.serve(serveAdmin(besides(tokens, app.fetch), () => ruling.inForce.tls.context))
  const watching = starting.use(new AsyncDisposableStack())
  const parts = starting.move()
  return {
    get config() {
      return ruling.inForce.config
    },
    installation: state.store.installation,
    url,
    get tls() {
      return ruling.inForce.tls
    },
    admin: admin.listener,
    ...doors,
    reload: () => reloading.reload(),
    watch: (told) =>
      void watching.use(
        watchFiles({ ...reloading, changed: async () => told(await reloading.reload()), clock, warn: output.warn }),
      ),
    drain: async () => {
      draining.abort()
      await watching.disposeAsync()
      await drain(core, doors)
      await parts.disposeAsync()
    },
  }
}

async function drain(core: Core, { postgres, http }: Doors): Promise<void> {
  const closed = Promise.all([postgres.close(DRAIN_MS), http?.close(DRAIN_MS)])
  await Promise.all([...core.live.values()].map((session) => session.drain()))
  await closed
}

async function openState(
  config: GatewayConfig,
  clock: Clock,
  output: Output,
  starting: AsyncDisposableStack,
): Promise<State> {
  await mkdir(config.data, { recursive: true, mode: 0o700 })
  const store = watchedStore(starting.use(await openStore(config.data, clock)), output.warn)
  const { id: replica } = starting.use(await startReplica(store, clock))
  const index = sessionsIndex(store, replica)
  starting.defer(() => index.flush())
  const note = (error: unknown): void => output.warn(`the index of sessions is behind the log: ${String(error)}`)
  const recorder = await openRecorder({
    dir: join(config.data, 'log'),
    installation: store.installation,
    replica,
    key: loadLogKey(config.data),
    clock,
    onCheckpoint: output.checkpoint,
    onFailed: sayFailures(clock, output.warn),
    onStored: (seq, at, entry) => {
      const noted = index.note(entry, seq, at)
      if (noted instanceof Promise) noted.catch(note)
    },
  })
  starting.use(recorder)
  return { store, replica, index, recorder }
}

/** What is in force now. */
type Ruling = { inForce: InForce }

async function openRuling(
  config: GatewayConfig,
  installation: string,
  clock: Clock,
): Promise<{ readonly foundation: Foundation; readonly ruling: Ruling }> {
  const local = await openLocalTokens({ dataDir: config.data, installation, clock })
  const foundation = { cedar: startPolicyEngine(), local, clock }
  return { foundation, ruling: { inForce: await firstInForce(config, foundation) } }
}

/** The groups of `admin` as they are now. */
function groupsOf(ruling: Ruling): AdminGroups {
  return {
    get operators() {
      return ruling.inForce.config.admin.operators
    },
    get auditors() {
      return ruling.inForce.config.admin.auditors
    },
  }
}

function openCore(ruling: Ruling, { store, recorder }: State, clock: Clock, url: string): Core {
  const approvals = createApprovals({
    store,
    clock,
    url,
    onVote: async (approval, vote) => void (await recorder.append(voteEntry(approval, vote), 'synced')),
  })
  return {
    clock,
    policy: () => ruling.inForce.policy,
    recorder,
    approvals,
    grants: createGrants({ store, clock }),
    authenticate: (token) => ruling.inForce.authenticate(token),
    issuers: () => ruling.inForce.config.identity.map(({ name, oidc }) => ({ provider: name, url: oidc.issuer })),
    strangers: allowance(STRANGERS_PER_SECOND, clock),
    turns: takeTurns(),
    live: new Map(),
    url,
  }
}

function openTokenService(core: Core, local: LocalTokens, { warn }: Output): ReturnType<typeof createTokenService> {
  const { authenticate, issuers, url } = core
  return createTokenService({
    exchange: createExchange({ authenticate, issuers, local }),
    record: (exchanged, client) => recordExchange(core, exchanged, client),
    url,
    issuer: local.issuer,
    publicKey: local.publicKey,
    log: (error) => warn(`oauth: ${String(error)}`),
  })
}

/** The targets, ready for sessions: what a crash left there is gone, or cannot be reached. */
async function openTargets(
  config: GatewayConfig,
  core: Core,
  { store, recorder, index, replica }: State,
  { warn }: Output,
  starting: AsyncDisposableStack,
): Promise<Registry> {
  const { clock, live } = core
  const isLive = (session: SessionId): boolean => live.has(session)
  const registry = starting.use(openRegistry({ installation: store.installation, clock, isLive, warn }))
  registry.prepare(config.targets).make()
  const sweeping = starting.use(sweepOrphans(() => registry.all(), recorder, clock, { everyMs: SWEEP_MS, warn }))
  await sweeping.first
  await index.closeOrphans([replica], clock.now())
  return registry
}

type Base = {
  readonly core: Core
  readonly ruling: Ruling
  readonly review: Review
  readonly registry: Registry
  readonly tokens: ReturnType<typeof createTokenService>
  readonly draining: AbortSignal
}

type Doors = { readonly postgres: Listener; readonly http?: Listener }

/** The listeners of the protocols. */
async function openDoors(base: Base, output: Output, starting: AsyncDisposableStack): Promise<Doors> {
  const { registry, tokens } = base
  const { listen } = base.ruling.inForce.config
  const door = await listenLater('postgres', listen.postgres.at, output)
  starting.defer(() => door.listener.close(0))
  door.serve(serving(postgres(), registry.postgres, base))
  const httpAt = listen.http?.at ?? (registry.http.size > 0 ? HTTP_AT : undefined)
  const httpDoor = httpAt && (await listenLater('http', httpAt, output))
  starting.defer(() => httpDoor?.listener.close(0))
  const own = { segments: TOKEN_SEGMENTS, answer: getRequestListener(tokens.fetch) }
  httpDoor?.serve(serving(http({ own }), registry.http, base))
  return { postgres: door.listener, http: httpDoor?.listener }
}

/** A protocol over its own targets. */
function serving<T extends Target<C>, C>(
  protocol: Protocol<T, C>,
  targets: ReadonlyMap<string, T>,
  { core, ruling, review, draining }: Base,
): Serve {
  const gateway: Gateway<T, C> = {
    core,
    draining,
    get tls() {
      return ruling.inForce.tls.context
    },
    target: (name) => targets.get(name),
    open: async (request) => {
      const under = ruling.inForce
      const opened = await openSession<T, C>(core, request)
      if ('refusal' in opened) return opened
      const { session } = opened
      review.opened(session, request.target, under)
      if (draining.aborted) await session.drain()
      if (!session.stopped.aborted) return opened
      await session[Symbol.asyncDispose]()
      return { refusal: session.stopped.reason as Refusal }
    },
  }
  return (socket, admitted) => protocol.serve(socket, gateway, admitted)
}

/** Opens a port now, because others need to know its number; connections wait until it is said who serves them. */
async function listenLater(
  name: 'admin' | 'postgres' | 'http',
  at: Endpoint,
  output: Output,
): Promise<{ readonly listener: Listener; readonly serve: (serve: Serve) => void }> {
  const { promise, resolve } = Promise.withResolvers<Serve>()
  const listener = await listen({
    ...at,
    name,
    serve: async (socket, admitted) => (await promise)(socket, admitted),
    onError: (error) => output.warn(`${name}: ${String(error)}`),
  })
  return { listener, serve: resolve }
}
