import type { Socket } from 'node:net'
import type { RoleCredential } from '../../credentials/postgres-role.ts'
import type { Address, Refusal } from '../../gateway/domain.ts'
import { Fault, sentence } from '../../gateway/fault.ts'
import { noSuchTarget, turnAway, type Gateway } from '../../gateway/gateway.ts'
import { elsewhere } from '../../gateway/grant-use.ts'
import type { Protocol } from '../../gateway/protocol.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import { Cancels } from './cancels.ts'
import { greet, type Greeting } from './client.ts'
import { Connection } from './connection.ts'
import { encodeAuthenticationOk, encodeBackendKeyData, encodeParameterStatus, encodeReadyForQuery } from './encode.ts'
import { identify } from './identify.ts'
import { decodeDataRow } from './messages-target.ts'
import type { PostgresTarget } from './postgres-target.ts'
import { ExchangeReader } from './reading.ts'
import { errorResponse } from './refusal.ts'
import { admitSettings } from './start-settings.ts'
import { readStart, sessionName, type Start } from './startup.ts'
import { connectTarget, type TargetConnection } from './target.ts'

type PostgresGateway = Gateway<PostgresTarget, RoleCredential>

/** What a connection is served with. */
type Around = {
  readonly gateway: PostgresGateway
  readonly cancels: Cancels
  readonly handshakeMs: number
  readonly admitted: () => void
  /** Of the client: once its socket is closed nobody knows it. */
  readonly address: Address
}

/** From the first byte to a session, in ms. */
const HANDSHAKE_MS = 20_000
const CONNECT_MS = 10_000

/** PostgreSQL, protocol 3 (https://www.postgresql.org/docs/18/protocol.html). */
export function postgres({ handshakeMs = HANDSHAKE_MS } = {}): Protocol<PostgresTarget, RoleCredential> {
  const own = { cancels: new Cancels(), handshakeMs }
  return {
    name: 'postgres',
    serve: (client, gateway, admitted) => serve(client, { ...own, gateway, admitted, address: addressOf(client) }),
  }
}

/** Greet, identify, open the session, connect to the target, run, say good-bye. */
async function serve(socket: Socket, around: Around): Promise<void> {
  const { gateway, cancels } = around
  using handshake = timeLimit(around.handshakeMs)
  const deadline = AbortSignal.any([handshake.signal, gateway.draining])
  let client = socket
  try {
    const greeting = await greet(socket, gateway.tls, deadline)
    client = greeting.socket
    if (greeting.wants === 'cancel') cancels.request(greeting.key)
    else await serveSession(greeting, around, deadline)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const code = error.code === 'protocol' ? 'unreadable' : 'unavailable'
    if (error.code !== 'closed') goodbye(client, refuse(code, sentence(error.message)))
  } finally {
    client.end()
    client.resume()
  }
}

async function serveSession(
  { socket: client, parameters, minor }: Extract<Greeting, { wants: 'session' }>,
  { gateway, cancels, admitted, address }: Around,
  deadline: AbortSignal,
): Promise<void> {
  const start = readStart(parameters)
  if ('refusal' in start) return goodbye(client, start.refusal)
  const authenticated = await identify(client, parameters.get('user'), gateway.core, deadline)
  const visitor = { target: start.target, client: address }
  if ('refusal' in authenticated)
    return goodbye(client, await turnAway(gateway.core, visitor, authenticated.refusal), authenticated.state)
  admitted()
  const { identity, grant } = authenticated
  const astray = elsewhere(grant, start.target)
  if (astray) return goodbye(client, await turnAway(gateway.core, { ...visitor, identity }, astray))
  const target = gateway.target(start.target)
  if (!target || (start.database ?? target.database) !== target.database)
    return goodbye(
      client,
      await turnAway(gateway.core, { ...visitor, identity }, noSuchTarget(identity, nameOf(start))),
    )

  const { application } = start
  const opened = await gateway.open({ ...visitor, identity, grant, target, protocol: 'postgres', application })
  if ('refusal' in opened) return goodbye(client, opened.refusal)
  await using afterwards = new AsyncDisposableStack()
  afterwards.defer(() => {
    if (target.moving.leave(opened.session)) target.catalog.expire()
  })
  await using session = opened.session
  const refused = await admitSettings(session, target, start.asked)
  if (refused) return goodbye(client, refused)
  const connected = await connect(session, target, opened.credential, start)
  if ('refusal' in connected) return goodbye(client, connected.refusal)
  const connection = new Connection(session, target, client, connected, opened.credential.wall)
  afterwards.defer(() => connection.cancelled)
  using key = cancels.add(connected.backendKey.pid, minor, () => cancel(connection))
  await runSession(connection, client, connected, key)
}

async function runSession(
  connection: Connection,
  client: Socket,
  { parameters, status }: TargetConnection,
  key: { readonly pid: number; readonly key: Buffer },
): Promise<void> {
  const { session } = connection
  connection.startTarget()
  connection.meaning.searchPath = await readSearchPath(connection)
  const statuses = [...parameters].map(([name, value]) => encodeParameterStatus(name, value))
  client.write(
    Buffer.concat([encodeAuthenticationOk(), ...statuses, encodeBackendKeyData(key), encodeReadyForQuery(status)]),
  )
  connection.startClient()
  await session.run(new ExchangeReader(connection))
  connection.close()
  if (session.stopped.aborted && !connection.toldEnd) goodbye(client, session.stopped.reason as Refusal)
}

/** Both pins come from the first message on: nothing the session does may change how its text is read. */
async function connect(
  session: Session,
  target: PostgresTarget,
  { user, password }: RoleCredential,
  start: Start,
): Promise<TargetConnection | { readonly refusal: Refusal }> {
  const { id, identity } = session.opening
  try {
    return await connectTarget({
      host: target.host,
      port: target.port,
      tls: target.tls,
      database: target.database,
      user,
      password,
      parameters: {
        ...start.settings,
        ...start.asked,
        client_encoding: 'UTF8',
        standard_conforming_strings: 'on',
        application_name: target.applicationName === 'session' ? sessionName(identity, id) : (start.application ?? ''),
      },
      timeoutMs: CONNECT_MS,
      signal: session.stopped,
    })
  } catch (error) {
    const why = error instanceof Fault ? error.message : 'it does not answer'
    const hint = 'Try again later; `sallyport check` tells an operator more.'
    return { refusal: refuse('unavailable', `Target ${target.name} cannot be reached: ${why}`, [{ do: 'wait', hint }]) }
  }
}

/** The schemas that unqualified names are searched in, as the target resolved them for this role. */
async function readSearchPath(connection: Connection): Promise<readonly string[]> {
  const text = 'SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))'
  const rows = await connection.ask(connection.session.permit, text)
  return rows.map((row) => decodeDataRow(row)[0]?.toString('utf8') ?? '')
}

/** A held operation is withdrawn here; a running one is cancelled at the target, by the target's own key. */
function cancel(connection: Connection): void {
  if (!connection.session.cancel()) void connection.cancel()
}

/** The client's connection ends with this, at once: what is still to be done for the session happens without it. */
function goodbye(client: Socket, refusal: Refusal, state?: string): void {
  if (client.writable) client.end(errorResponse(refusal, 'FATAL', state))
}

/** Aborts after so many ms; nothing of it is kept once it is disposed, as it would be of `AbortSignal.timeout`. */
function timeLimit(ms: number): Disposable & { readonly signal: AbortSignal } {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), ms)
  return { signal: late.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

function addressOf({ remoteAddress, remotePort }: Socket): Address {
  return `${remoteAddress ?? ''}:${remotePort ?? ''}`
}

/** As the client named it. */
function nameOf({ target, database }: Start): string {
  return database === undefined ? target : `${target}.${database}`
}
