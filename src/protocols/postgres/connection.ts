import type { Socket } from 'node:net'
import { Fault, sentence } from '../../gateway/fault.ts'
import type { Permit } from '../../gateway/permit.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import type { Soon } from '../../gateway/source.ts'
import type { NameChange } from '../../sql/reader.ts'
import { Answers } from './answers.ts'
import { CopyIn } from './copy-in.ts'
import { Plans } from './descriptions.ts'
import { Descriptors } from './descriptors.ts'
import type { Egress } from './egress.ts'
import { encodeBind, encodeClose, encodeExecute, encodeFlush, encodeParse, encodeSync } from './encode.ts'
import type { Outgoing } from './exchanges.ts'
import { FrameReader, type Frame } from './frames.ts'
import { Incoming, type Event } from './incoming.ts'
import { BACKEND, FRONTEND } from './message-types.ts'
import type { BackendKey, Bind } from './messages-client.ts'
import { decodeParameterStatus, type TransactionStatus } from './messages-target.ts'
import { Meaning } from './meaning.ts'
import { Names } from './names.ts'
import type { Portal, Prepared } from './portals.ts'
import { CLIENT_LIMITS, CLIENT_WHOLE, TARGET_LIMITS } from './limits.ts'
import type { PostgresTarget } from './postgres-target.ts'
import { cancelTarget, type TargetConnection } from './target.ts'

/** The parameters of a question of the gateway's own, and the OIDs of their types. */
type Bound = Partial<Pick<Bind, 'formats' | 'parameters'>> & { readonly types?: readonly number[] | undefined }

/** What was sent since the last Sync or Query. */
type Unsettled = { messages: number; operations: number; exchanges: number }

/** Bytes of answers that wait for a slow client, or of messages that wait for a slow target: more is not taken. */
const FULL_BYTES = 1 << 20
/** How long asking to cancel may take, in ms. */
const CANCEL_MS = 5_000
/** How long the gateway's own questions may take before the client is heard, in ms. */
const START_MS = 10_000
/** Names of relations and routines that one transaction may change. */
const MOST_NAMES = 10_000
/** PostgreSQL keeps its answers back until Sync or Flush: it is asked for them after this many exchanges. */
const FLUSH_EVERY = 64

/** A Parse that always fails, before it stores anything, in every transaction status. */
const POISON = encodeParse('sallyport_refused', 'sallyport refused this operation')
/** The gateway's own statement and portal at the target. */
const OWN = 'sallyport_own'
const CLOSE_OWN = Buffer.concat([encodeClose('P', OWN), encodeClose('S', OWN)])
const OWN_MESSAGES = ['Close', 'Close', 'Parse', 'Bind', 'Execute', 'Close', 'Close'] as const

/** Both sides of one client's session with one target, and what is known of the state between them. */
export class Connection {
  readonly session: Session
  readonly target: PostgresTarget
  readonly answers: Answers
  readonly statements = new Names<Prepared>(({ text }) => text.length)
  readonly portals = new Names<Portal>(({ bind }) => bind?.length ?? 0)
  readonly egress: Egress
  /** Of answers whose texts can show nothing that is hidden. */
  readonly harmlessEgress: Egress
  /** Counts the Syncs and Queries: names change for certain only with the answer to one. */
  batch = 0
  /** What was sent since the last Sync or Query. */
  unsettled: Unsettled = { messages: 0, operations: 0, exchanges: 0 }
  /** A refusal went out in the extended protocol: the client's messages are dropped until its Sync. */
  skipping = false
  /** A statement that opens or ends a transaction is on its way. */
  transactionMayChange = false
  /** What statements since the last idle state did to names, or may have done: the catalog cannot know it yet. */
  nameChanges: readonly NameChange[] = []
  /** A statement that changes names or columns has run in the transaction that is open. */
  changedSchema = false
  readonly meaning = new Meaning()
  readonly descriptors = new Descriptors()
  readonly copyIn = new CopyIn(() => this.session.stop(refuse('cancelled', 'The client went away.')))
  /** The target's own key for cancelling; no client ever sees it. */
  readonly backendKey: BackendKey
  /** What was running when it was closed was cancelled, or cannot be. */
  cancelled: Promise<void> | undefined
  /** The client has the target's word that the session ends. */
  toldEnd = false
  /** The session's role cannot read what is hidden from its identity. */
  readonly wall: boolean
  readonly #client: Socket
  readonly #targetSocket: Socket
  readonly #rest: Buffer
  readonly #incoming: Incoming
  /** Bytes of answers that wait for the client. */
  #waiting = 0
  readonly #started = new AbortController()

  constructor(session: Session, target: PostgresTarget, client: Socket, connected: TargetConnection, wall = false) {
    this.wall = wall
    this.session = session
    this.target = target
    this.backendKey = connected.backendKey
    this.#client = client
    this.#targetSocket = connected.socket
    this.#rest = connected.rest
    this.#incoming = new Incoming(client, session.core.turns)
    for (const [name, value] of connected.parameters) this.meaning.report(name, value)
    this.answers = new Answers(
      (frame) => this.#incoming.fromTarget(frame),
      (status) => this.#settled(status),
    )
    this.egress = {
      plans: new Plans(target.catalog),
      classesOf: (table, column) => target.catalog.classesOf(table, column) ?? this.#uncommitted(table),
      withholdsTexts: session.opening.hidden.length > 0,
      withholdsPayloads: session.opening.hidden.length > 0,
      ending: () => (this.toldEnd = true),
    }
    this.harmlessEgress = { ...this.egress, withholdsTexts: false }
  }

  /** Starts reading the target. */
  startTarget(): void {
    const reader = new FrameReader(TARGET_LIMITS)
    const socket = this.#targetSocket
    this.#read(socket, (chunk) => reader.push(chunk).forEach((frame) => this.#answered(frame)))
    const ended = (): void => this.session.stop(lost('The target closed the connection.'))
    socket.once('close', ended)
    if (socket.destroyed) ended()
    this.session.stopped.addEventListener('abort', () => this.close(), { once: true })
    if (this.session.stopped.aborted) this.close()
    if (this.#rest.length > 0) socket.emit('data', this.#rest)
    socket.resume()
    this.#client.once('close', () => this.#left())
    void this.#startInTime()
  }

  /** Starts reading the client. */
  startClient(): void {
    this.#started.abort()
    const reader = new FrameReader(CLIENT_LIMITS, CLIENT_WHOLE)
    const socket = this.#client
    this.#read(socket, (chunk) => reader.push(chunk).forEach((frame) => this.#incoming.fromClient(frame)))
    socket.once('end', () => this.#left())
    if (socket.destroyed) this.#left()
    socket.resume()
  }

  /** The client's next message, or the target's; in order. */
  next(): Soon<Event | undefined> {
    return this.#targetTakes ? this.#incoming.next() : this.#nextLater()
  }

  /** The Sync that the client sent behind what was read last, if it is here already. */
  takeSync(): Frame | undefined {
    return this.#incoming.takeIf(FRONTEND.Sync)
  }

  /** The only way to the target. */
  write(_permit: Permit, bytes: Buffer): void {
    gather(this.#targetSocket)
    this.#targetSocket.write(bytes)
  }

  /** The only way to the client; a promise where it has to take something before there can be more. */
  reply(bytes: Uint8Array): Soon<void> {
    if (bytes.length === 0 || this.#client.destroyed) return
    gather(this.#client)
    if (!this.#client.write(bytes)) return happensFirst(this.#client, this.session.stopped, 'drain', 'close')
  }

  /** Stops and starts reading the target while answers of so many more bytes, or fewer, wait for a slow client. */
  readonly waiting = (bytes: number): void => {
    const socket = this.#targetSocket
    this.#waiting += bytes
    if (this.#waiting > FULL_BYTES) socket.pause()
    else if (socket.isPaused()) socket.resume()
  }

  /** So that a batch without an end does not wait for answers that wait for its end. */
  keepAnswersComing(permit: Permit): void {
    if (++this.unsettled.exchanges % FLUSH_EVERY === 0) this.write(permit, encodeFlush())
  }

  /** Resolves when everything that was sent has been answered, or when the connection is given up. */
  async caughtUp(): Promise<void> {
    if (this.unsettled.messages > 0) this.write(this.session.permit, encodeFlush())
    await this.answers.idle()
  }

  /** Makes the target fail where it stands; true when it did, false when it was skipping already. */
  poison(permit: Permit): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.answers.expect({ sent: 'Poison', done: (result) => resolve(result === 'failed') })
    this.unsettled.messages++
    this.write(permit, POISON)
    return promise
  }

  /** The gateway's own Sync: its answer is for nobody. Resolves with the transaction status in it. */
  sync(permit: Permit): Promise<TransactionStatus> {
    const { promise, resolve } = Promise.withResolvers<TransactionStatus>()
    this.answers.expect({ sent: 'Sync', done: () => resolve(this.answers.status) })
    this.settle()
    this.write(permit, encodeSync())
    return promise
  }

  /** More of the same batch goes out. `operation`: it runs one. */
  sent(messages: readonly Outgoing[], operation: boolean): void {
    for (const { sent } of messages) if (sent) this.unsettled.messages++
    if (operation) this.unsettled.operations++
  }

  /** A Sync or Query goes out: what is sent next belongs to a new batch. */
  settle(): void {
    this.batch++
    this.unsettled = { messages: 0, operations: 0, exchanges: 0 }
  }

  /**
   * A statement that does this to names goes out: what is read before it is answered has to know. Fault `protocol` when
   * one transaction changes too many.
   */
  changeNames(changes: readonly NameChange[]): void {
    if (changes.length === 0) return
    const byText = [...this.nameChanges, ...changes].map((change) => [`${change.now} ${change.name}`, change] as const)
    this.nameChanges = [...new Map(byText).values()]
    if (this.nameChanges.length > MOST_NAMES)
      throw new Fault('protocol', `more than ${MOST_NAMES} names are changed in one transaction`)
  }

  /** Asks the target, on a connection of its own, to cancel what is running; one that does not arrive is no error. */
  cancel(): Promise<void> {
    const { host, port, tls } = this.target
    return cancelTarget({ host, port, tls, key: this.backendKey, timeoutMs: CANCEL_MS }).catch(() => undefined)
  }

  /** Takes the target's socket away: nothing more is sent or answered, and what was running is cancelled. */
  close(): void {
    if (!this.answers.quiet) this.cancelled = this.cancel()
    this.#incoming.close()
    this.#targetSocket.destroy()
    this.answers.giveUp()
  }

  /**
   * A query of the gateway's own, while nothing else is asked: the rows of its answer, none when it fails. In the extended
   * protocol and under names of its own, because a simple Query would take the client's unnamed statement away. The names
   * are freed before, as an error skips all that stands behind it, and behind, so that no catalog shows them.
   */
  ask(permit: Permit, text: string, { types, formats, parameters }: Bound = {}): Promise<readonly Frame[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Frame[]>()
    const rows: Frame[] = []
    const frame = (answer: Frame): void => void (answer.type === BACKEND.DataRow && rows.push(answer))
    for (const sent of OWN_MESSAGES) this.answers.expect({ sent, frame })
    this.answers.expect({ sent: 'Sync', done: () => resolve(rows) })
    this.settle()
    const bind = encodeBind({ portal: OWN, statement: OWN, formats, parameters })
    const messages = [CLOSE_OWN, encodeParse(OWN, text, types), bind, encodeExecute(OWN), CLOSE_OWN, encodeSync()]
    this.write(permit, Buffer.concat(messages))
    return promise
  }

  #answered(frame: Frame): void {
    if (frame.type === BACKEND.ParameterStatus) {
      const { name, value } = decodeParameterStatus(frame)
      this.meaning.report(name, value)
    }
    this.answers.route(frame)
  }

  #read(socket: Socket, take: (chunk: Buffer) => void): void {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      try {
        take(chunk)
      } catch (error) {
        const code = socket === this.#client ? 'unreadable' : 'unavailable'
        const why = error instanceof Fault ? error.message : 'an internal error'
        this.session.stop(refuse(code, sentence(`The connection cannot go on: ${why}`)))
      }
    })
  }

  /** True when the target has taken most of what was sent to it, or is gone. */
  get #targetTakes(): boolean {
    return this.#targetSocket.writableLength < FULL_BYTES || this.#targetSocket.destroyed
  }

  async #nextLater(): Promise<Event | undefined> {
    await happensFirst(this.#targetSocket, this.session.stopped, 'drain', 'close')
    return this.#incoming.next()
  }

  /** Outside a transaction no descriptor or portal lives on, only cursors do that were declared WITH HOLD. */
  #settled(status: TransactionStatus): void {
    if (status !== 'T') this.descriptors.forget()
    if (status !== 'I') return
    this.portals.forget(({ bind }) => bind !== undefined)
    if (this.changedSchema) this.target.catalog.expire()
    this.changedSchema = false
    if (!this.answers.quiet) return
    if (this.nameChanges.length > 0) this.nameChanges = []
    this.target.moving.settle(this.session)
  }

  /** The gateway's own questions come before the client's: a target that does not answer them is given up. */
  async #startInTime(): Promise<void> {
    const { signal } = this.#started
    await this.session.core.clock.sleep(START_MS, AbortSignal.any([signal, this.session.stopped]))
    if (!signal.aborted) this.session.stop(lost('The target does not answer.'))
  }

  /** After Terminate what was asked before still runs; without it the client is lost, and so is its session. */
  #left(): void {
    this.#incoming.close()
    if (!this.#incoming.terminated) this.session.stop(refuse('cancelled', 'The client went away.'))
  }

  /**
   * A relation that even a fresh catalog does not have was made in this session's open transaction, and no session can
   * put a hidden value into what it makes. Outside a transaction there is no such excuse: undefined masks it whole.
   */
  #uncommitted(table: number): readonly string[] | undefined {
    return this.answers.status === 'I' || this.target.catalog.has(table) ? undefined : []
  }
}

/** What is written in one turn of the event loop goes out in one piece. */
function gather(socket: Socket): void {
  if (socket.writableCorked > 0) return
  socket.cork()
  process.nextTick(() => socket.uncork())
}

/** The first of these events, or the end of the session. */
function happensFirst(socket: Socket, stopped: AbortSignal, ...events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) socket.off(event, done)
      stopped.removeEventListener('abort', done)
      resolve()
    }
    for (const event of events) socket.once(event, done)
    stopped.addEventListener('abort', done, { once: true })
    if (stopped.aborted) done()
  })
}

function lost(message: string): ReturnType<typeof refuse> {
  return refuse('unavailable', message, [{ do: 'wait', hint: 'Connect again.' }])
}
