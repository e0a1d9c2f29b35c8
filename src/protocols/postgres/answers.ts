import { Fault } from '../../gateway/fault.ts'
import type { Frame } from './frames.ts'
import { decodeReadyForQuery, type TransactionStatus } from './messages-target.ts'
import { backendName, type BackendName } from './message-types.ts'

/** What was sent, by what its answer looks like ("Message Flow"). `Poison` is the Parse that must fail. */
export type Sent =
  | 'Query'
  | 'Parse'
  | 'Bind'
  | 'DescribeStatement'
  | 'DescribePortal'
  | 'Execute'
  | 'Close'
  | 'Sync'
  | 'FunctionCall'
  | 'Poison'

/** How the target took one message. `skipped`: it ignored it, because something before it in the batch failed. */
export type Result = 'done' | 'failed' | 'skipped'

export type Expectation = {
  readonly sent: Sent
  /** There is a COPY in it. */
  readonly copies?: boolean | undefined
  /** Sees every frame of the answer, in order. */
  frame?(frame: Frame): void
  done?(result: Result): void
}

/** Of a COPY. */
const COPY: readonly BackendName[] = ['CopyInResponse', 'CopyOutResponse', 'CopyData', 'CopyDone']

/** Which messages may answer what; the ones in `ends` are the last of their answer. */
const ANSWERS: Record<Sent, { readonly within: readonly BackendName[]; readonly ends: readonly BackendName[] }> = {
  Query: {
    within: ['RowDescription', 'DataRow', 'CommandComplete', 'EmptyQueryResponse'],
    ends: ['ReadyForQuery'],
  },
  Parse: { within: [], ends: ['ParseComplete'] },
  Bind: { within: [], ends: ['BindComplete'] },
  DescribeStatement: { within: ['ParameterDescription'], ends: ['RowDescription', 'NoData'] },
  DescribePortal: { within: [], ends: ['RowDescription', 'NoData'] },
  Execute: { within: ['DataRow'], ends: ['CommandComplete', 'EmptyQueryResponse', 'PortalSuspended'] },
  Close: { within: [], ends: ['CloseComplete'] },
  Sync: { within: [], ends: ['ReadyForQuery'] },
  FunctionCall: { within: ['FunctionCallResponse'], ends: ['ReadyForQuery'] },
  Poison: { within: [], ends: [] },
}

/** Messages that may come at any time and belong to nothing that was sent. */
const ASYNCHRONOUS: ReadonlySet<BackendName> = new Set(['NoticeResponse', 'ParameterStatus', 'NotificationResponse'])

/**
 * Which answer belongs to what was sent. The target answers in order; after an error in the extended protocol it ignores
 * everything up to the next Sync. Anything that does not fit throws Fault `protocol`.
 */
export class Answers {
  #status: TransactionStatus = 'I'
  #failed = false
  #lastBatchFailed = false
  /** The target ignores everything up to a Sync that was not sent yet. */
  #skipping = false
  #givenUp = false
  #queue: Expectation[] = []
  #idle: (() => void)[] = []
  readonly #unsolicited: (frame: Frame) => void
  readonly #settled: (status: TransactionStatus) => void

  /** `settled` is told of every ReadyForQuery. */
  constructor(unsolicited: (frame: Frame) => void, settled: (status: TransactionStatus) => void) {
    this.#unsolicited = unsolicited
    this.#settled = settled
  }

  /** Of the last ReadyForQuery. */
  get status(): TransactionStatus {
    return this.#status
  }

  /** True when everything that was sent has been answered. */
  get quiet(): boolean {
    return this.#queue.length === 0
  }

  /** True when the batch that the last ReadyForQuery ended had an error in it. */
  get lastBatchFailed(): boolean {
    return this.#lastBatchFailed
  }

  /** Called when it is sent. What the target will not answer is over at once. */
  expect(expectation: Expectation): void {
    if (expectation.sent === 'Sync') this.#skipping = false
    if (this.#givenUp || this.#skipping) expectation.done?.('skipped')
    else this.#queue.push(expectation)
  }

  /** Resolves when quiet, or when the connection is given up. */
  async idle(): Promise<void> {
    if (!this.quiet) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** The connection is gone: whoever waits is let go. */
  giveUp(): void {
    this.#givenUp = true
    for (const expectation of this.#queue.splice(0)) expectation.done?.('skipped')
    this.#wakeIdle()
  }

  route(frame: Frame): void {
    const name = backendName(frame.type)
    const head = this.#queue[0]
    if (name === undefined) throw new Fault('protocol', `the target sent a message of unknown type ${frame.type}`)
    if (name === 'ErrorResponse') return this.#error(frame)
    if (ASYNCHRONOUS.has(name)) return head?.frame ? head.frame(frame) : this.#unsolicited(frame)
    if (!head) throw new Fault('protocol', `the target sent ${name} and nothing was asked`)
    const { within, ends } = ANSWERS[head.sent]
    const isLast = ends.includes(name)
    if (!isLast && !within.includes(name) && !(head.copies === true && COPY.includes(name)))
      throw new Fault('protocol', `the target answered ${head.sent} by ${name}`)
    head.frame?.(frame)
    if (name === 'ReadyForQuery') this.#ready(frame)
    if (isLast) this.#shift('done')
    if (name === 'ReadyForQuery') this.#settled(this.#status)
  }

  #ready(frame: Frame): void {
    this.#status = decodeReadyForQuery(frame)
    this.#lastBatchFailed = this.#failed
    this.#failed = false
  }

  #error(frame: Frame): void {
    const head = this.#queue[0]
    if (!head) return this.#unsolicited(frame)
    this.#failed = true
    head.frame?.(frame)
    if (ANSWERS[head.sent].ends.includes('ReadyForQuery')) return
    this.#shift('failed')
    while (this.#queue.length > 0 && this.#queue[0]!.sent !== 'Sync') this.#shift('skipped')
    this.#skipping = this.#queue.length === 0
  }

  #shift(result: Result): void {
    const head = this.#queue.shift()
    head?.done?.(result)
    if (this.quiet) this.#wakeIdle()
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
