import type { Operation, Preview, Refusal } from '../../gateway/domain.ts'
import type { Exchange, Masked, Outcome, Part, Pause, Waiting } from '../../gateway/exchange.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { Expectation, Sent } from './answers.ts'
import type { Connection, Portal } from './connection.ts'
import { AnswerPart, type Columns } from './egress.ts'
import { encodeReadyForQuery } from './encode.ts'
import type { Frame } from './frames.ts'
import { Inbox } from './inbox.ts'
import { BACKEND } from './message-types.ts'
import { decodeCommandComplete, decodeErrorFields, decodeRowDescription, type RowField } from './messages-target.ts'
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
  /** The operation touches a relation with a hidden column. */
  readonly touchesHidden?: boolean
  /** Its statements may open or end a transaction. */
  readonly controlsTransaction?: boolean
  /** Told of each statement of a Query that the target has completed, by its place in the text. */
  readonly completed?: (statement: number) => void
  /** Told when the answer is whole, or when it was refused. */
  readonly over?: () => void
}

/** One thing in flight on a PostgreSQL connection. */
export class PostgresExchange implements Exchange {
  readonly operation?: Operation
  readonly #connection: Connection
  readonly #making: Making
  readonly #inbox: Inbox
  readonly #columns: Columns = { fields: [] }
  #outcome: Outcome = { status: 'skipped' }
  #completed = 0
  /** The gateway's own Sync closed the portal: it is bound again before it runs. */
  #rebind = false
  /** Something before it failed: the client hears nothing of this one. */
  #gone = false
  /** Resolves to whether the target failed because of it; absent when nothing of it reached the target. */
  #poisoned: Promise<boolean> | undefined
  #ready: Promise<void> | undefined

  constructor(connection: Connection, making: Making) {
    this.operation = making.operation
    this.#connection = connection
    this.#making = making
    this.#inbox = new Inbox(connection.pressure)
    for (const frame of making.received ?? []) this.#inbox.put(frame)
  }

  async pause(session: Permit): Promise<Pause> {
    const connection = this.#connection
    if (connection.unsettled.operations > 0) return 'busy'
    const prepared = connection.unsettled.messages > 0
    if (prepared) void connection.sync(session)
    await connection.answers.idle()
    this.#gone = prepared && connection.answers.lastBatchFailed
    if (this.#gone) return 'gone'
    if (connection.answers.status !== 'I') return 'busy'
    this.#rebind = prepared && !this.#making.messages.some(({ sent }) => sent === 'Bind')
    return 'idle'
  }

  async preview(session: Permit): Promise<Preview> {
    if (!this.#making.explainable) return { note: 'The planner gives no estimate for this kind of statement.' }
    return estimateRows(this.#connection, session, this.operation!)
  }

  notify({ message, refusal }: Waiting): void {
    void this.#connection.reply(waitingNotice(message, refusal))
  }

  send(permit: Permit): void {
    const connection = this.#connection
    const { style, operation, portal } = this.#making
    if (this.#making.touchesHidden) connection.touchedHidden = true
    if (this.#making.controlsTransaction) connection.transactionMayChange = true
    if (portal) portal.started = true
    const messages = this.#messages()
    for (const message of messages) {
      if (message.sent)
        connection.answers.expect(this.#inbox.expectation(message.sent, this.#watch(message), message.hidden))
    }
    this.#inbox.seal()
    if (style === 'simple' || messages.at(-1)?.sent === 'Sync') connection.settle()
    else connection.unsettled.messages += messages.length
    if (style === 'extended' && operation?.stage === 'execute') connection.unsettled.operations++
    connection.write(permit, Buffer.concat(messages.map(({ bytes }) => bytes)))
  }

  fail(session: Permit): void {
    const connection = this.#connection
    const { answers, unsettled } = connection
    for (const message of this.#making.messages) message.done?.('skipped')
    if (this.#making.style === 'extended') connection.skipping = true
    const nothingToUndo = answers.quiet && answers.status === 'I' && unsettled.messages === 0
    if (this.#gone || nothingToUndo) return
    this.#poisoned = connection.poison(session)
    if (this.#making.style === 'simple') this.#ready = connection.sync(session)
  }

  async refuse(refusal: Refusal): Promise<void> {
    const says = this.#poisoned === undefined ? !this.#gone : await this.#poisoned
    this.#making.over?.()
    if (says) await this.#connection.reply(errorResponse(refusal))
    if (this.#making.style !== 'simple') return
    await this.#ready
    await this.#connection.reply(encodeReadyForQuery(this.#connection.answers.status))
  }

  async *answer(): AsyncGenerator<Part> {
    const { catalog } = this.#connection.target
    for await (const { frames, last } of this.#inbox.batches()) {
      if (last) this.#making.over?.()
      const fields = this.#making.portal?.fields
      if (fields && !this.#columns.plan) this.#columns.fields = fields
      await catalog.learn(origins(frames, this.#columns))
      const outcome = last && this.operation?.stage === 'execute' ? this.#outcome : undefined
      if (frames.length > 0 || outcome) yield new AnswerPart(frames, this.#columns, this.#connection.egress, outcome)
    }
  }

  async reply(part: Masked): Promise<void> {
    await this.#connection.reply(part.bytes)
  }

  #messages(): readonly Outgoing[] {
    const { messages, portal } = this.#making
    if (!this.#rebind || !portal?.bind) return messages
    return [{ bytes: portal.bind, sent: 'Bind', hidden: true }, ...messages]
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
  return (columns.plan ? described : [...columns.fields, ...described]).filter(({ tableOid }) => tableOid !== 0)
}
