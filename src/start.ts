import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createAdmin } from './admin/admin.ts'
import { serveAdmin } from './admin/serve-admin.ts'
import { createApprovals } from './approvals/create-approvals.ts'
import { loadConfig, type Config } from './config/config.ts'
import type { Endpoint } from './config/fields.ts'
import { allowance } from './gateway/allowance.ts'
import { serverTls, type ServerTls } from './gateway/certificate.ts'
import { systemClock, type Clock } from './gateway/clock.ts'
import { openSession, type Core, type Gateway } from './gateway/gateway.ts'
import { takeTurns } from './gateway/turns.ts'
import { listen, type Listener, type Serve } from './gateway/listener.ts'
import type { Protocol, Target } from './gateway/protocol.ts'
import { createGrants } from './grants/grants.ts'
import { createAuthenticate } from './identity/authenticate.ts'
import { openLocalTokens } from './identity/local-tokens.ts'
import { loadPolicies } from './policy/load-policies.ts'
import { http } from './protocols/http/http.ts'
import { postgres } from './protocols/postgres/postgres.ts'
import { voteEntry } from './record/entry.ts'
import { loadLogKey } from './record/key.ts'
import { openRecorder } from './record/open-recorder.ts'
import type { Recorder } from './record/recorder.ts'
import { startReplica } from './store/replicas.ts'
import { sessionsIndex, type SessionsIndex } from './store/sessions-index.ts'
import { openStore, type Store } from './store/store.ts'
import { sweepOrphans } from './sweep.ts'
import { openTargets, PROTOCOLS } from './targets.ts'

export type GatewayConfig = Config<typeof PROTOCOLS>

/** Where a gateway says what it does, a line at a time. Checkpoint lines are to leave the machine. */
export type Output = { readonly checkpoint: (line: string) => void; readonly warn: (line: string) => void }

/** A gateway that accepts connections. */
export interface Running {
  readonly config: GatewayConfig
  readonly installation: string
  readonly url: string
  readonly tls: ServerTls
  readonly admin: Listener
  readonly postgres: Listener
  /** Absent when neither `listen.http` nor a target asks for it. */
  readonly http?: Listener
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
/** How often roles that a crash left behind are looked for, in ms. */
const SWEEP_MS = 60_000
/** Where HTTP clients come in when there are targets for them and the config does not say. */
const HTTP_AT: Endpoint = { host: '127.0.0.1', port: 8421 }
/** How long connections may last once the gateway drains, in ms. */
const DRAIN_MS = 15_000

/** Puts a gateway together out of its config file and starts it. Throws a Fault that says what is wrong. */
export async function startGateway(file: string, output: Output, clock: Clock = systemClock): Promise<Running> {
  await using starting = new AsyncDisposableStack()
  const config = await loadConfig(file, PROTOCOLS)
  const state = await openState(config, clock, output, starting)
  const tls = await serverTls(config.data, config.tls, [config.listen.admin.at.host, config.listen.postgres.at.host])
  const admin = await listenLater('admin', config.listen.admin.at, output)
  starting.defer(() => admin.listener.close(0))
  const url = config.url ?? `http://${admin.listener.host}:${admin.listener.port}`
  const core = await openCore(config, state, clock, url)
  const { installation } = state.store
  const targets = starting.use(openTargets(config, { installation, clock, live: core.live, warn: output.warn }))
  const sweeping = starting.use(
    sweepOrphans([...targets.postgres.values(), ...targets.http.values()], state.recorder, clock, {
      everyMs: SWEEP_MS,
      warn: output.warn,
    }),
  )
  await sweeping.first
  await state.index.closeOrphans([state.replica], clock.now())

  const draining = new AbortController()
  const base = { core, tls: tls.context, draining: draining.signal }
  const door = await listenLater('postgres', config.listen.postgres.at, output)
  starting.defer(() => door.listener.close(0))
  door.serve(serving(postgres(), targets.postgres, base))
  const httpAt = config.listen.http?.at ?? (targets.http.size > 0 ? HTTP_AT : undefined)
  const httpDoor = httpAt && (await listenLater('http', httpAt, output))
  starting.defer(() => httpDoor?.listener.close(0))
  httpDoor?.serve(serving(http(), targets.http, base))
  const doors = [door.listener, ...(httpDoor ? [httpDoor.listener] : [])]
  const app = createAdmin({
    authenticate: core.authenticate,
    approvals: core.approvals,
    sessions: state.index,
    admin: config.admin,
    url,
    readiness: () => [admin.listener, ...doors].every(({ accepting }) => accepting) && !draining.signal.aborted,
    log: (error) => output.warn(`admin: ${String(error)}`),
  })
  admin.serve(serveAdmin(app.fetch, tls.context))
  const parts = starting.move()
  const drain = async (): Promise<void> => {
    draining.abort()
    const closed = Promise.all(doors.map((listener) => listener.close(DRAIN_MS)))
    await Promise.all([...core.live.values()].map((session) => session.drain()))
    await closed
    await parts.disposeAsync()
  }
  return {
    config,
    installation,
    url,
    tls,
    admin: admin.listener,
    postgres: door.listener,
    http: httpDoor?.listener,
    drain,
  }
}

async function openState(
  config: GatewayConfig,
  clock: Clock,
  output: Output,
  starting: AsyncDisposableStack,
): Promise<State> {
  await mkdir(config.data, { recursive: true, mode: 0o700 })
  const store = starting.use(await openStore(config.data, clock))
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
    onStored: (seq, at, entry) => void index.note(entry, seq, at).catch(note),
  })
  starting.use(recorder)
  return { store, replica, index, recorder }
}

async function openCore(config: GatewayConfig, { store, recorder }: State, clock: Clock, url: string): Promise<Core> {
  const local = await openLocalTokens({ dataDir: config.data, installation: store.installation, clock })
  const policy = loadPolicies(config.policies, { targets: config.targets })
  const approvals = createApprovals({
    store,
    clock,
    url,
    onVote: async (approval, vote) => void (await recorder.append(voteEntry(approval, vote), 'synced')),
  })
  return {
    clock,
    policy: () => policy,
    recorder,
    approvals,
    grants: createGrants({ store, clock }),
    authenticate: createAuthenticate({ providers: config.identity, local, clock }),
    strangers: allowance(STRANGERS_PER_SECOND, clock),
    turns: takeTurns(),
    live: new Map(),
    url,
  }
}

type Base = Pick<Gateway<Target<unknown>, unknown>, 'core' | 'tls' | 'draining'>

/** A protocol over its own targets. */
function serving<T extends Target<C>, C>(protocol: Protocol<T, C>, targets: ReadonlyMap<string, T>, base: Base): Serve {
  const gateway: Gateway<T, C> = {
    ...base,
    target: (name) => targets.get(name),
    open: async (request) => {
      const opened = await openSession<T, C>(base.core, request)
      if ('session' in opened && base.draining.aborted) await opened.session.drain()
      return opened
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
