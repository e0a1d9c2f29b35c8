import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Fault } from '../../gateway/fault.ts'
import type { Secret } from '../../gateway/secret.ts'
import { encodeCancelRequest, encodeSaslInitialResponse, encodeSaslResponse, encodeStartup } from './encode.ts'
import { FrameReader } from './frames.ts'
import type { Frame } from './frames.ts'
import { BACKEND, backendName } from './message-types.ts'
import type { BackendKey } from './messages-client.ts'
import {
  decodeAuthentication,
  decodeBackendKeyData,
  decodeErrorFields,
  decodeParameterStatus,
  decodeReadyForQuery,
} from './messages-target.ts'
import type { Authentication, TransactionStatus } from './messages-target.ts'
import { createScramClient } from './scram.ts'
import { certificateHash } from './certificate-hash.ts'
import type { ChannelBinding } from './scram.ts'
import { createAttempt, happens, openSocket, receive } from './target-socket.ts'
import type { TargetAddress } from './target-socket.ts'

export type TargetOptions = TargetAddress & {
  readonly database: string
  readonly user: string
  readonly password: Secret
  /** Settings for the start; `user` and `database` in them have no effect. */
  readonly parameters: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** A connection that is ready for its first query. */
export type TargetConnection = {
  /** Paused: call `resume` after attaching a `data` listener. An error on it shows as `close`. */
  readonly socket: Socket
  /** Bytes read beyond the first ReadyForQuery. */
  readonly rest: Buffer
  /** What the target reported by ParameterStatus. */
  readonly parameters: ReadonlyMap<string, string>
  readonly backendKey: BackendKey
  readonly status: TransactionStatus
}

/**
 * Connects, authenticates by SCRAM-SHA-256 and waits until the target is ready. Fault `target` when it cannot be
 * reached, refuses (message with SQLSTATE), asks for another kind of password, or is not who it should be; `protocol`
 * when it talks nonsense; `closed` when `signal` aborts.
 */
export async function connectTarget(options: TargetOptions): Promise<TargetConnection> {
  using attempt = createAttempt(options.timeoutMs, options.signal)
  const socket = await openSocket(options, attempt)
  const inbox = createInbox(socket)
  const { user, database } = options
  socket.write(encodeStartup(Object.entries({ ...options.parameters, user, database })))
  await authenticate(inbox, options.password)
  const connection = await becomeReady(inbox)
  socket.pause()
  attempt.keep()
  return connection
}

/** Asks the target, on a connection of its own, to cancel what `key` is running; resolves when it has taken note. */
export async function cancelTarget(
  options: TargetAddress & { readonly key: BackendKey; readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  using attempt = createAttempt(options.timeoutMs, options.signal)
  const socket = await openSocket(options, attempt)
  socket.write(encodeCancelRequest(options.key))
  socket.resume()
  await happens(socket, 'end')
}

type Inbox = { readonly socket: Socket; next(): Promise<Frame>; rest(): Buffer }

function createInbox(socket: Socket): Inbox {
  const reader = new FrameReader(startupLimit)
  const frames: Frame[] = []
  return {
    socket,
    next: async () => {
      while (frames.length === 0) frames.push(...reader.push(await receive(socket)))
      return frames.shift()!
    },
    rest: () => Buffer.concat([...frames.map((frame) => frame.bytes), reader.pending]),
  }
}

/** What may come before the first ReadyForQuery, and how long. */
function startupLimit(type: number): number {
  switch (backendName(type)) {
    case 'Authentication':
    case 'ErrorResponse':
    case 'NegotiateProtocolVersion':
    case 'NoticeResponse':
    case 'ParameterStatus':
      return 30_000
    case 'BackendKeyData':
      return 264
    case 'ReadyForQuery':
      return 5
    default:
      return 0
  }
}

async function authenticate(inbox: Inbox, password: Secret): Promise<void> {
  const request = await nextAuthentication(inbox)
  if (request.kind === 'Ok') return
  if (request.kind !== 'SASL')
    throw new Fault('target', `the target asks for ${describe(request)}, not for SCRAM-SHA-256`)
  const scram = createScramClient(password, chooseBinding(inbox.socket, request.mechanisms))
  inbox.socket.write(encodeSaslInitialResponse(scram.mechanism, scram.clientFirst))
  const challenge = await expectAuthentication(inbox, 'SASLContinue')
  inbox.socket.write(encodeSaslResponse(await scram.clientFinal(challenge.data)))
  scram.verify((await expectAuthentication(inbox, 'SASLFinal')).data)
  await expectAuthentication(inbox, 'Ok')
}

function describe(request: Authentication): string {
  return request.kind === 'other' ? `authentication of kind ${request.code}` : request.kind
}

async function expectAuthentication<Kind extends Authentication['kind']>(
  inbox: Inbox,
  kind: Kind,
): Promise<Extract<Authentication, { kind: Kind }>> {
  const found = await nextAuthentication(inbox)
  if (found.kind !== kind) throw new Fault('protocol', `the target sent Authentication${found.kind} instead of ${kind}`)
  return found as Extract<Authentication, { kind: Kind }>
}

/** Before it has authenticated, a target may say nothing else (so does libpq see it). */
async function nextAuthentication(inbox: Inbox): Promise<Authentication> {
  const frame = await inbox.next()
  if (frame.type === BACKEND.ErrorResponse) throw refusal(frame)
  if (frame.type === BACKEND.Authentication) return decodeAuthentication(frame)
  throw new Fault('protocol', `the target sent ${backendName(frame.type)} before authentication`)
}

/** PLUS is taken wherever both sides can, so that a target in the middle cannot talk it away. */
function chooseBinding(socket: Socket, mechanisms: readonly string[]): ChannelBinding {
  const data = socket instanceof TLSSocket ? certificateHash(socket.getPeerX509Certificate()) : undefined
  if (data && mechanisms.includes('SCRAM-SHA-256-PLUS')) return { kind: 'tls-server-end-point', data }
  if (!mechanisms.includes('SCRAM-SHA-256')) throw new Fault('target', 'the target does not offer SCRAM-SHA-256')
  return { kind: data ? 'not offered' : 'none' }
}

async function becomeReady(inbox: Inbox): Promise<TargetConnection> {
  const parameters = new Map<string, string>()
  let backendKey: BackendKey | undefined
  for (;;) {
    const frame = await inbox.next()
    switch (frame.type) {
      case BACKEND.ErrorResponse:
        throw refusal(frame)
      case BACKEND.NoticeResponse:
        break
      case BACKEND.ParameterStatus: {
        const { name, value } = decodeParameterStatus(frame)
        parameters.set(name, value)
        break
      }
      case BACKEND.BackendKeyData:
        backendKey = decodeBackendKeyData(frame)
        break
      case BACKEND.ReadyForQuery:
        if (!backendKey) throw new Fault('target', 'the target gives no key to cancel with')
        return { socket: inbox.socket, rest: inbox.rest(), parameters, backendKey, status: decodeReadyForQuery(frame) }
      default:
        throw new Fault('protocol', `the target sent ${backendName(frame.type)} while starting`)
    }
  }
}

function refusal(frame: Frame): Fault {
  const fields = decodeErrorFields(frame)
  return new Fault('target', `the target refused the connection: ${fields.get('C') ?? '?'} ${fields.get('M') ?? ''}`)
}
