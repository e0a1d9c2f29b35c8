import type { Operation, Preview, Refusal } from '../../gateway/domain.ts'
import type { Exchange, Masked, Outcome, Part, Pause, Waiting } from '../../gateway/exchange.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { Expectation, Sent } from './answers.ts'
import type { Connection } from './connection.ts'
import type { Portal } from './portals.ts'
import { AnswerPart, type Columns } from './egress.ts'
import { encodeReadyForQuery } from './encode.ts'
import type { Frame } from './frames.ts'
import { Inbox } from './inbox.ts'
import { BACKEND } from './message-types.ts'
import {
  decodeCommandComplete,
  decodeErrorFields,
  decodeRowDescription,
  type RowField,
  type TransactionStatus,
} from './messages-target.ts'
import { estimateRows } from './preview.ts'
import { errorResponse, waitingNotice } from './refusal.ts'

/** One message for the target, and what to make of its answer; Flush has none. */
export type Outgoing = {
  readonly bytes: Buffer
  readonly sent?: Sent
  /** The client did not ask for it: its answer is not for the client. */
  readonly hidden?: boolean
  readonly frame?: Expectation['frame']
  readonly done?: Expectation['done']
}

/** What an exchange is made of. */
export type Making = {
  /** `simple`: a Query; `extended`: ends in Parse or Execute; `keeping`: what runs under the session's permit. */
  readonly style: 'simple' | 'extended' | 'keeping'
  readonly messages: readonly Outgoing[]
  /** What the target sent of its own accord. */
  readonly received?: readonly Frame[]
  readonly operation?: Operation
  readonly portal?: Portal
  /** EXPLAIN may be asked of the operation's text. */
  readonly explainable?: boolean
  /** It changes nothing and reads nothing that has a hidden column: no text of its answer can show a hidden value. */
  readonly harmlessTexts?: boolean
  /** Its statements may open or end a transaction. */
  readonly controlsTransaction?: boolean
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
  /** Something before it failed: the client hears nothing of this one. */
  #gone = false
  /** Resolves to whether the target failed because of it; absent when nothing of it reached the target. */
  #poisoned: Promise<boolean> | undefined
  /** The transaction status that a refused Query ends in. */
  #ready: Promise<TransactionStatus> | undefined

  constructor(connection: Connection, making: Making) {
    this.operation = making.operation
    this.#connection = connection
    this.#making = making
    this.#columns = { inline: making.style === 'simple' }
    this.#inbox = new Inbox(connection.waiting, making.received)
  }

  async pause(session: Permit): Promise<Pause> {
    const connection = this.#connection
    if (connection.unsettled.operations > 0 || this.#boundAhead) return 'busy'
    const prepared = connection.unsettled.messages > 0
    if (prepared) void connection.sync(session)
    await connection.answers.idle()
    this.#gone = prepared && connection.answers.lastBatchFailed
    if (this.#gone) return 'gone'
    return connection.answers.status === 'I' ? 'idle' : 'busy'
  }

  /** Its portal is at the target already, and would not survive the Sync that leaves the target idle. */
  get #boundAhead(): boolean {
    const { portal, messages } = this.#making
    return portal?.bind !== undefined && !messages.some(({ bytes }) => bytes === portal.bind)
  }

  async preview(session: Permit): Promise<Preview> {
    if (!this.#making.explainable) return { note: 'The planner gives no estimate for this kind of statement.' }
    return estimateRows(this.#connection, session, this.operation!.text, this.#making.portal?.bind)
  }

  notify({ message, refusal }: Waiting): void {
    void this.#connection.reply(waitingNotice(message, refusal))
  }

  send(permit: Permit): void {
    const connection = this.#connection
    const { style, operation, portal, messages } = this.#making
    if (this.#making.controlsTransaction) connection.transactionMayChange = true
    if (portal && !portal.started) {
      portal.started = true
      portal.startedIn = connection.batch
    }
    for (const message of messages) {
      if (message.sent)
        connection.answers.expect(this.#inbox.expectation(message.sent, this.#watch(message), message.hidden))
    }
    this.#inbox.seal()
    if (style === 'simple' || messages.at(-1)?.sent === 'Sync') connection.settle()
    else connection.unsettled.messages += messages.filter(({ sent }) => sent).length
    if (style === 'extended' && operation?.stage === 'execute') connection.unsettled.operations++
    connection.write(permit, Buffer.concat(messages.map(({ bytes }) => bytes)))
    connection.keepAnswersComing(permit)
  }

  fail(session: Permit): void {
    const connection = this.#connection
    const { answers, unsettled } = connection
    for (const message of this.#making.messages) message.done?.('skipped')
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

  async *answer(): AsyncGenerator<Part> {
    const { egress, target } = this.#connection
    const withholdsTexts = egress.withholdsTexts && this.#making.harmlessTexts !== true
    for await (const { frames, last } of this.#inbox.batches()) {
      await target.catalog.learn(origins(frames, this.#columns))
      const outcome = last && this.operation?.stage === 'execute' ? this.#outcome : undefined
      if (frames.length === 0 && !outcome) continue
      yield new AnswerPart(frames, this.#columns, { ...egress, withholdsTexts }, outcome)
    }
  }

  async reply(part: Masked): Promise<void> {
    await this.#connection.reply(part.bytes)
  }

  #watch(message: Outgoing): Partial<Expectation> {
    const { portal } = this.#making
    return {
      frame: (frame) => {
        message.frame?.(frame)
        this.#note(frame)
      },
      done: (result) => {
        message.done?.(result)
        if (message.sent === 'Execute' && result === 'skipped' && portal) portal.started = false
      },
    }
  }

  /** Reads how the operation ended off its answer. */
  #note(frame: Frame): void {
    const failed = this.#outcome.status === 'failed'
    if (frame.type === BACKEND.DataRow && this.#making.portal) this.#columns.fields ??= this.#making.portal.fields
    if (frame.type === BACKEND.CommandComplete) {
      this.#making.completed?.(this.#completed++)
      this.#outcome = { status: 'done', rows: decodeCommandComplete(frame).rows }
    } else if (frame.type === BACKEND.ErrorResponse && !failed) {
      this.#outcome = { status: 'failed', code: decodeErrorFields(frame).get('C') }
    } else if (frame.type === BACKEND.EmptyQueryResponse || frame.type === BACKEND.PortalSuspended) {
      this.#outcome = { status: 'done' }
    }
  }
}

/** Where the columns of the rows in a batch come from; expressions come from nowhere. */
function origins(frames: readonly Frame[], columns: Columns): readonly RowField[] {
  const described = frames.filter(({ type }) => type === BACKEND.RowDescription).flatMap(decodeRowDescription)
  return (columns.plan ? described : [...(columns.fields ?? []), ...described]).filter(({ tableOid }) => tableOid !== 0)
}
