import type { Operation, Preview, Refusal } from '../../gateway/domain.ts'
import type { Exchange, Masked, Outcome, Part, Pause, Waiting } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Permit } from '../../gateway/permit.ts'
import { soon, type Soon, type Source } from '../../gateway/source.ts'
import type { Expectation, Result, Sent } from './answers.ts'
import type { Connection } from './connection.ts'
import type { Portal } from './portals.ts'
import { fieldsOf } from './descriptions.ts'
import { AnswerPart, type Columns } from './egress.ts'
import type { CopyForm } from '../../sql/reader.ts'
import { encodeReadyForQuery } from './encode.ts'
import type { Frame } from './frames.ts'
import { Inbox, type Batch } from './inbox.ts'
import { BACKEND } from './message-types.ts'
import {
  decodeCommandComplete,
  decodeErrorFields,
  decodeRowDescription,
  type RowField,
  type TransactionStatus,
} from './messages-target.ts'
import { joined } from './pieces.ts'
import { estimateAside, estimateRows, withEstimate, type Question } from './estimate.ts'
import { errorResponse, waitingNotice } from './refusal.ts'
import { takeOff } from './take-off.ts'
import type { Flight } from './moving-names.ts'
import type { Sense } from './sense.ts'

/** One message for the target, and what to make of its answer; Flush has none. */
export type Outgoing = {
  readonly bytes: Buffer
  readonly sent?: Sent
  /** The client did not ask for it: its answer is not for the client. */
  readonly hidden?: boolean
  readonly frame?: Expectation['frame']
  readonly done?: Expectation['done']
}

/** What may come while a COPY takes input, and leaves it open. */
const UNASKED: ReadonlySet<number> = new Set([
  BACKEND.NoticeResponse,
  BACKEND.ParameterStatus,
  BACKEND.NotificationResponse,
])

/** Ends an operation that has done what it was to do, without a count of rows. */
const ENDS_WELL: ReadonlySet<number> = new Set([BACKEND.EmptyQueryResponse, BACKEND.PortalSuspended])

/** What an exchange is made of. */
export type Making = {
  /** `simple`: a Query; `extended`: ends in Parse or Execute; `keeping`: what runs under the session's permit. */
  readonly style: 'simple' | 'extended' | 'keeping'
  readonly messages: readonly Outgoing[]
  /** What the target sent of its own accord. */
  readonly received?: readonly Frame[]
  readonly operation?: Operation
  readonly portal?: Portal
  /** What the operation's text means. */
  readonly sense?: Sense
  /** Of an operation that looks names up when it runs: `MovingNames.now` of when its text was read. */
  readonly readAt?: number | undefined
  /** It runs nothing: no text of its answer can show a hidden value. */
  readonly harmlessTexts?: boolean
  /** Told of each statement of a Query that the target has completed, by its place in the text. */
  readonly completed?: (statement: number) => void
}

/** One thing in flight on a PostgreSQL connection. */
export class PostgresExchange implements Exchange {
  readonly operation?: Operation
  readonly #connection: Connection
  readonly #making: Making
  readonly #inbox: Inbox
  readonly #columns: Columns
  #outcome: Outcome = { status: 'skipped' }
  #completed = 0
  /** COPYs whose input the target has asked for. */
  #fed = 0
  /** The planner's, once it was asked. */
  #estimate: number | undefined
  /** Something before it failed: the client hears nothing of this one. */
  #gone = false
  /** Resolves to whether the target failed because of it; absent when nothing of it reached the target. */
  #poisoned: Promise<boolean> | undefined
  #flight: Flight | undefined
  /** The transaction status that a refused Query ends in. */
  #ready: Promise<TransactionStatus> | undefined

  constructor(connection: Connection, making: Making) {
    this.operation = making.operation
    this.#connection = connection
    this.#making = making
    const { sense, style, portal } = making
    if (portal && sense) portal.hides = sense.hides
    this.#columns = {
      inline: style === 'simple',
      described: sense?.described ?? {},
      copies: this.#copies('out'),
      hides: sense?.hides ?? portal?.hides ?? NOTHING_HIDDEN,
      statement: 0,
    }
    this.#inbox = new Inbox(connection.waiting, making.received)
  }

  async pause(session: Permit): Promise<Pause> {
    const rest = await this.#rest(session)
    if (rest === 'gone') return 'gone'
    return rest === 'I' ? 'idle' : 'busy'
  }

  /** Has the target answer all that was sent, and says where that leaves it. */
  async #rest(session: Permit): Promise<TransactionStatus | 'busy' | 'gone'> {
    const connection = this.#connection
    if (connection.unsettled.operations > 0 || this.#boundAhead) return 'busy'
    const prepared = connection.unsettled.messages > 0
    if (prepared) void connection.sync(session)
    await connection.answers.idle()
    this.#gone = prepared && connection.answers.lastBatchFailed
    return this.#gone ? 'gone' : connection.answers.status
  }

  /** Its portal is at the target already, and would not survive the Sync that leaves the target idle. */
  get #boundAhead(): boolean {
    const { portal, messages } = this.#making
    return portal?.bind !== undefined && !messages.some(({ bytes }) => bytes === portal.bind)
  }

  async preview(permitted: () => Promise<Permit>): Promise<Preview> {
    if (!this.#making.sense?.explainable) return { note: 'The planner gives no estimate for this kind of statement.' }
    this.#estimate ??= await estimateRows(this.#connection, await permitted(), this.#question)
    return this.#estimate === undefined ? { note: 'The planner gave no estimate.' } : { rowsEstimate: this.#estimate }
  }

  async measure(session: Permit, permitted: () => Promise<Permit>): Promise<Operation | 'gone'> {
    const operation = this.operation!
    if (!this.#making.sense?.explainable) return operation
    const rest = await this.#rest(session)
    if (rest === 'gone') return 'gone'
    if (rest === 'I') this.#estimate = await estimateRows(this.#connection, await permitted(), this.#question)
    if (rest === 'T') this.#estimate = await estimateAside(this.#connection, await permitted(), this.#question)
    return this.#estimate === undefined ? operation : withEstimate(operation, this.#estimate)
  }

  get #question(): Question {
    const { portal } = this.#making
    const { text, sent = text } = this.operation!
    return { text: sent, bind: portal?.bind, types: portal?.prepared.types }
  }

  notify({ message, refusal }: Waiting): void {
    void this.#connection.reply(waitingNotice(message, refusal))
  }

  ready(): Soon<Refusal | undefined> {
    const { sense, readAt, portal } = this.#making
    if (sense === undefined || readAt === undefined) return undefined
    const boundAt = this.#boundAhead ? portal?.boundAt : undefined
    return soon(takeOff(this.#connection, { sense, readAt, boundAt }), (taken) => {
      if ('refusal' in taken) return taken.refusal
      this.#flight = taken.flight
      return undefined
    })
  }

  #land(): void {
    if (this.#flight) this.#connection.target.moving.arrived(this.#flight)
  }

  send(permit: Permit): void {
    const connection = this.#connection
    const { style, operation, portal } = this.#making
    const messages = this.#withSync()
    if (this.#making.sense?.controlsTransaction) connection.transactionMayChange = true
    if (portal && !portal.started) {
      portal.started = true
      portal.startedIn = connection.batch
    }
    if (this.#mayAskForInput) connection.copyIn.expect(this.#copies('in').length)
    if (this.#making.sense) connection.changeNames(this.#making.sense.nameChanges)
    if (operation) connection.descriptors.follow(operation)
    for (const message of messages) {
      if (message.sent)
        connection.answers.expect(this.#inbox.expectation(message.sent, new Watch(this, message), message.hidden))
    }
    this.#inbox.seal()
    if (style === 'simple' || messages.at(-1)?.sent === 'Sync') connection.settle()
    else connection.sent(messages, style === 'extended' && operation?.stage === 'execute')
    connection.write(permit, joined(messages.map(({ bytes }) => bytes)))
    connection.keepAnswersComing(permit)
  }

  /**
   * A Sync that is there already goes with the one operation of its batch: one write, one answer, one record. An error at
   * a Sync is of any operation before it, so where there were several it goes alone. Behind a COPY that asks for input
   * it waits until that is decided.
   */
  #withSync(): readonly Outgoing[] {
    const { operation, style, messages } = this.#making
    const first = operation?.stage === 'execute' && this.#connection.unsettled.operations === 0
    const alone = first && !this.#mayAskForInput
    const sync = style === 'extended' && alone ? this.#connection.takeSync() : undefined
    return sync ? [...messages, { bytes: sync.bytes, sent: 'Sync' }] : messages
  }

  fail(session: Permit): void {
    const connection = this.#connection
    const { answers, unsettled } = connection
    for (const message of this.#making.messages) message.done?.('skipped')
    this.#land()
    if (this.#making.style === 'extended') connection.skipping = true
    const nothingToUndo = answers.quiet && answers.status === 'I' && unsettled.messages === 0
    this.#ready = Promise.resolve(answers.status)
    if (this.#gone || nothingToUndo) return
    this.#poisoned = connection.poison(session)
    if (this.#making.style === 'simple') this.#ready = connection.sync(session)
  }

  async refuse(refusal: Refusal): Promise<void> {
    const says = this.#poisoned === undefined ? !this.#gone : await this.#poisoned
    if (says) await this.#connection.reply(errorResponse(refusal))
    if (this.#making.style !== 'simple') return
    await this.#connection.reply(encodeReadyForQuery((await this.#ready)!))
  }

  answer(): Source<Part> {
    return { next: () => this.#nextPart() }
  }

  #nextPart(): Soon<Part | undefined> {
    return soon(this.#inbox.next(), (batch) => batch && this.#part(batch))
  }

  get #harmless(): boolean {
    const { harmlessTexts, sense } = this.#making
    return harmlessTexts ?? sense?.harmlessTexts ?? false
  }

  /** Of a batch, or of the next one if there is nothing to say of it. */
  #part({ frames, last }: Batch): Soon<Part | undefined> {
    const outcome = last && this.operation?.stage === 'execute' ? this.#ended() : undefined
    if (frames.length === 0 && !outcome) return this.#nextPart()
    const { egress, harmlessEgress, target } = this.#connection
    const part = new AnswerPart(frames, this.#columns, this.#harmless ? harmlessEgress : egress, outcome)
    const learned = target.catalog.learn(origins(frames, this.#columns))
    return learned ? learned.then(() => part) : part
  }

  /** Of an answer that the end of the session has cut off nobody knows how it would have ended. */
  #ended(): Outcome {
    const cutOff = this.#outcome.status === 'skipped' && this.#connection.session.stopped.aborted
    return cutOff ? { status: 'unknown' } : this.#outcome
  }

  reply(part: Masked): Soon<void> {
    return this.#connection.reply(part.bytes)
  }

  get copies(): boolean {
    return this.#making.sense !== undefined && this.#making.sense.copies.length > 0
  }

  /** One of its messages was answered, whole; `runs`: the one that runs the operation. */
  over(message: Outgoing, runs: boolean, result: Result): void {
    const { portal } = this.#making
    message.done?.(result)
    if (runs) this.#land()
    if (runs && this.#mayAskForInput) this.#connection.copyIn.over(this.#copies('in').length - this.#fed)
    if (message.sent === 'Execute' && result === 'skipped' && portal) portal.started = false
  }

  /** Reads how the operation ended off its answer. */
  note(frame: Frame): void {
    const failed = this.#outcome.status === 'failed'
    if (frame.type === BACKEND.DataRow && this.#making.portal) this.#columns.fields ??= this.#making.portal.fields
    this.#noteInput(frame)
    if (frame.type === BACKEND.CommandComplete) {
      this.#making.completed?.(this.#completed++)
      this.#outcome = { status: 'done', rows: decodeCommandComplete(frame).rows }
    } else if (frame.type === BACKEND.ErrorResponse && !failed) {
      this.#outcome = { status: 'failed', code: decodeErrorFields(frame).get('C') }
    } else if (frame.type === BACKEND.FunctionCallResponse) {
      if (this.#outcome.status === 'done') throw new Fault('protocol', 'the target answered a FunctionCall twice')
      this.#outcome = { status: 'done' }
    } else if (ENDS_WELL.has(frame.type)) {
      this.#outcome = { status: 'done' }
    }
  }

  #copies(direction: CopyForm['direction']): CopyForm[] {
    return (this.#making.sense?.copies ?? []).filter((copy) => copy.direction === direction)
  }

  get #mayAskForInput(): boolean {
    return this.#making.sense?.copies.some(({ direction }) => direction === 'in') ?? false
  }

  /** Follows the target into copy-in mode and out of it. */
  #noteInput({ type }: Frame): void {
    const { copyIn } = this.#connection
    if (type === BACKEND.ErrorResponse || type === BACKEND.CommandComplete) copyIn.close()
    if (copyIn.operation && !UNASKED.has(type)) throw new Fault('protocol', 'the target answers while it takes input')
    if (type !== BACKEND.CopyInResponse) return
    if (this.#fed++ >= this.#copies('in').length)
      throw new Fault('protocol', 'the target asked for input that nobody has')
    copyIn.open(this.operation!)
  }
}

/** Follows the answer to one message of an exchange. */
class Watch implements Partial<Expectation> {
  readonly copies: boolean
  readonly #exchange: PostgresExchange
  readonly #message: Outgoing
  readonly #runs: boolean

  constructor(exchange: PostgresExchange, message: Outgoing) {
    this.#exchange = exchange
    this.#message = message
    this.#runs = message.sent === 'Query' || message.sent === 'Execute'
    this.copies = this.#runs && exchange.copies
  }

  frame(frame: Frame): void {
    this.#message.frame?.(frame)
    this.#exchange.note(frame)
  }

  done(result: Result): void {
    this.#exchange.over(this.#message, this.#runs, result)
  }
}

const NOTHING_HIDDEN: readonly undefined[] = []
const NO_FIELDS: readonly RowField[] = []

/** The columns that the rows in a batch may have. */
function origins(
  frames: readonly Frame[],
  { inline, described, plan, fields = NO_FIELDS }: Columns,
): readonly RowField[] {
  const known = plan ? NO_FIELDS : fields
  if (!inline) return known
  const descriptions = frames.filter(({ type }) => type === BACKEND.RowDescription)
  if (descriptions.length === 0) return known
  if (descriptions.length === 1 && known.length === 0) return fieldsOf(described, descriptions[0]!)
  return [...known, ...descriptions.flatMap(decodeRowDescription)]
}
