import type { Socket } from 'node:net'
import { Fault } from '../../gateway/fault.ts'
import type { Permit } from '../../gateway/permit.ts'
import { Queue } from '../../gateway/queue.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import type { Statement } from '../../sql/reader.ts'
import { Answers } from './answers.ts'
import type { Egress } from './egress.ts'
import { encodeBind, encodeClose, encodeExecute, encodeParse, encodeSync } from './encode.ts'
import { FrameReader, type Frame } from './frames.ts'
import { BACKEND, FRONTEND } from './message-types.ts'
import type { BackendKey } from './messages-client.ts'
import type { RowField } from './messages-target.ts'
import { Names } from './names.ts'
import { CLIENT_LIMITS, TARGET_LIMITS } from './limits.ts'
import type { PostgresTarget } from './postgres-target.ts'
import type { TargetConnection } from './target.ts'

/** A prepared statement, by wire or by SQL. `statement` is absent for an empty text. */
export type Prepared = { readonly text: string; readonly statement?: Statement }

/** A portal bound by wire, or a cursor declared by SQL. */
export type Portal = {
  readonly prepared: Prepared
  readonly parameters: readonly (string | null)[]
  /** The Bind that made it; a cursor has none. */
  readonly bind?: Buffer
  /** Its columns, once the target has described it. */
  fields?: readonly RowField[]
  described: boolean
  /** An Execute was sent: another one goes on with the same operation. */
  started: boolean
}

/** What comes in: a message of the client's, or one that the target sent of its own accord. */
export type Event = { readonly from: 'client' | 'target'; readonly frame: Frame }

/** Client messages waiting to be read above which the client's socket is not read further. */
const FULL = 1_000

/** A Parse that always fails, before it stores anything, in every transaction status. */
const POISON = encodeParse('sallyport_refused', 'sallyport refused this operation')
/** The gateway's own statement and portal at the target. */
const OWN = 'sallyport_own'

/** Both sides of one client's session with one target, and what is known of the state between them. */
export class Connection {
  readonly session: Session
  readonly target: PostgresTarget
  readonly answers: Answers
  readonly events = new Queue<Event>(Infinity)
  readonly statements = new Names<Prepared>()
  readonly portals = new Names<Portal>()
  readonly egress: Egress
  /** Counts the Syncs and Queries: names change for certain only with the answer to one. */
  batch = 0
  /** What was sent since the last Sync or Query. */
  unsettled = { messages: 0, operations: 0 }
  /** A refusal went out in the extended protocol: the client's messages are dropped until its Sync. */
  skipping = false
  /** A statement that opens or ends a transaction is on its way. */
  transactionMayChange = false
  touchedHidden = false
  /** Schemas unqualified names are searched in; undefined once a statement has changed that. */
  searchPath: readonly string[] | undefined
  /** The texts that changed the search path, in order: they give later texts their meaning. */
  readonly searchPathChanges: string[] = []
  /** The target's own key for cancelling; no client ever sees it. */
  readonly backendKey: BackendKey
  /** As the target reports it: `18.1`. */
  readonly serverVersion: string
  readonly #client: Socket
  readonly #targetSocket: Socket
  readonly #rest: Buffer
  #unread = 0
  #terminated = false

  constructor(session: Session, target: PostgresTarget, client: Socket, connected: TargetConnection) {
    this.session = session
    this.target = target
    this.backendKey = connected.backendKey
    this.serverVersion = connected.parameters.get('server_version') ?? ''
    this.#client = client
    this.#targetSocket = connected.socket
    this.#rest = connected.rest
    this.answers = new Answers((frame) => void this.events.pushNow({ from: 'target', frame }))
    this.egress = {
      classesOf: (table, column) => target.catalog.classesOf(table, column) ?? this.#uncommitted(table),
      withholdsTexts: () => this.touchedHidden,
    }
  }

  /** Starts reading the target. */
  startTarget(): void {
    const reader = new FrameReader(TARGET_LIMITS)
    const socket = this.#targetSocket
    this.#read(socket, (chunk) => reader.push(chunk).forEach((frame) => this.answers.route(frame)))
    socket.once('close', () => this.session.stop(lost('The target closed the connection.')))
    this.session.stopped.addEventListener('abort', () => this.close(), { once: true })
    if (this.session.stopped.aborted) this.close()
    if (this.#rest.length > 0) socket.emit('data', this.#rest)
    socket.resume()
  }

  /** Starts reading the client. */
  startClient(): void {
    const reader = new FrameReader(CLIENT_LIMITS)
    const socket = this.#client
    this.#read(socket, (chunk) => reader.push(chunk).forEach((frame) => this.#heard(frame)))
    for (const event of ['end', 'close']) socket.once(event, () => this.#left())
    socket.resume()
  }

  /** The client's next message, or the target's; in order. */
  async *incoming(): AsyncGenerator<Event> {
    for await (const event of this.events) {
      if (event.from === 'client' && --this.#unread === FULL / 2) this.#client.resume()
      if (event.from === 'client' && event.frame.type === FRONTEND.Terminate) return
      yield event
    }
  }

  /** The only way to the target. */
  write(_permit: Permit, bytes: Buffer): void {
    this.#targetSocket.write(bytes)
  }

  /** The only way to the client; resolves when it may take more. */
  async reply(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#client.destroyed || this.#client.write(bytes)) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#client.off('drain', done).off('close', done)
        resolve()
      }
      this.#client.once('drain', done).once('close', done)
    })
  }

  /** Stops and starts reading the target while an answer waits for a slow client. */
  readonly pressure = (full: boolean): void => {
    if (full) this.#targetSocket.pause()
    else this.#targetSocket.resume()
  }

  /** Makes the target fail where it stands; true when it did, false when it was skipping already. */
  poison(permit: Permit): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.answers.expect({ sent: 'Poison', done: (result) => resolve(result === 'failed') })
    this.unsettled.messages++
    this.write(permit, POISON)
    return promise
  }

  /** The gateway's own Sync: its answer is for nobody. Resolves with it. */
  sync(permit: Permit): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.answers.expect({ sent: 'Sync', done: () => resolve() })
    this.settle()
    this.write(permit, encodeSync())
    return promise
  }

  /** A Sync or Query goes out: what is sent next belongs to a new batch. */
  settle(): void {
    this.batch++
    this.unsettled = { messages: 0, operations: 0 }
  }

  /** Takes the target's socket away: nothing more is sent or answered. */
  close(): void {
    this.events.close()
    this.#targetSocket.destroy()
    this.answers.giveUp()
  }

  /**
   * A query of the gateway's own, while the target is idle: the rows of its answer. In the extended protocol and under
   * names of its own, because a simple Query would take the client's unnamed statement away.
   */
  ask(permit: Permit, text: string): Promise<readonly Frame[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Frame[]>()
    const rows: Frame[] = []
    const frame = (answer: Frame): void => void (answer.type === BACKEND.DataRow && rows.push(answer))
    for (const sent of ['Parse', 'Bind', 'Execute', 'Close'] as const) this.answers.expect({ sent, frame })
    this.answers.expect({ sent: 'Sync', done: () => resolve(rows) })
    this.settle()
    const messages = [
      encodeParse(OWN, text),
      encodeBind({ portal: OWN, statement: OWN }),
      encodeExecute(OWN),
      encodeClose('S', OWN),
      encodeSync(),
    ]
    this.write(permit, Buffer.concat(messages))
    return promise
  }

  #read(socket: Socket, take: (chunk: Buffer) => void): void {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      try {
        take(chunk)
      } catch (error) {
        const code = socket === this.#client ? 'unreadable' : 'unavailable'
        const why = error instanceof Fault ? error.message : 'an internal error'
        this.session.stop(refuse(code, `The connection cannot go on: ${why}.`))
      }
    })
  }

  #heard(frame: Frame): void {
    this.events.pushNow({ from: 'client', frame })
    if (frame.type === FRONTEND.Terminate) this.#terminated = true
    if (++this.#unread >= FULL) this.#client.pause()
  }

  /** After Terminate what was asked before still runs; without it the client is lost, and so is its session. */
  #left(): void {
    this.events.close()
    if (!this.#terminated) this.session.stop(refuse('cancelled', 'The client went away.'))
  }

  /**
   * A relation that even a fresh catalog does not have was made in this session's open transaction, and no session can
   * put a hidden value into what it makes. Outside a transaction there is no such excuse: undefined masks it whole.
   */
  #uncommitted(table: number): readonly string[] | undefined {
    return this.answers.status === 'I' || this.target.catalog.has(table) ? undefined : []
  }
}

function lost(message: string): ReturnType<typeof refuse> {
  return refuse('unavailable', message, [{ do: 'wait', hint: 'Connect again.' }])
}
