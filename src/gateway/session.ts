import type { Lease } from '../grants/lease.ts'
import type { Masker } from '../mask/masker.ts'
import { operationEntry } from '../record/entry.ts'
import type { Entry, InSession } from '../record/entry.ts'
import { Kept } from '../record/kept.ts'
import type { Address, GrantId, Hold, Identity, Operation, Refusal, SessionId } from './domain.ts'
import { maskPart, type Exchange, type Input, type Masked, type Part } from './exchange.ts'
import { Fault, sentence } from './fault.ts'
import type { Core } from './gateway.ts'
import type { Scope } from './grant-use.ts'
import { decide, holdOperation, objectionTo, type Released } from './hold.ts'
import { judge, type Judged } from './judge.ts'
import { permitFrom, type Permit } from './permit.ts'
import { Queue } from './queue.ts'
import { grantEnded, refuse, unrecordable } from './refusals.ts'
import { identityId } from './identity.ts'
import type { Soon, Source } from './source.ts'

/** Everything a session is opened with. */
export type Opening = {
  readonly id: SessionId
  readonly identity: Identity
  readonly target: string
  readonly grant: GrantId
  /** What its grant was narrowed to. */
  readonly scope?: Scope
  /** ms since the epoch. */
  readonly expiresAt: number
  readonly lease: Lease<unknown>
  readonly client: Address
  /** Data classes its identity must not see. */
  readonly hidden: readonly string[]
  readonly masker: Masker
}

/** Exchanges sent whose answers are still to be read: how far *up* may run ahead of *down*. */
const IN_FLIGHT = 256

type InFlight = { readonly exchange: Exchange; readonly refusal?: Refusal }

/**
 * One client connection from open to close. The order of the security steps stands here and nowhere else:
 * up: decide, hold, record, send; down: answer, mask, record, reply; at the end: revoke, verify, record.
 */
export class Session implements AsyncDisposable {
  readonly opening: Opening
  readonly core: Core
  /** What its protocol may send without an operation: recorded when the session was. */
  readonly permit: Permit
  readonly #inFlight = new Queue<InFlight>(IN_FLIGHT)
  readonly #place: InSession
  readonly #stop = new AbortController()
  readonly #cancelExpiry: () => void
  readonly #answers = new Kept()
  readonly #inputs = new Kept()
  #held: AbortController | undefined
  #ended: Promise<void> | undefined
  #loops: Promise<unknown> = Promise.resolve()
  #idle = true
  #defect: unknown

  constructor(core: Core, opening: Opening, permit: Permit) {
    this.core = core
    this.opening = opening
    this.permit = permit
    const { id, target, identity } = opening
    this.#place = { session: id, target, identity: identityId(identity) }
    this.#cancelExpiry = this.#expireLater()
    core.live.set(opening.id, this)
  }

  /** Aborts when the session must end; its `reason` is the Refusal to tell the client. */
  get stopped(): AbortSignal {
    return this.#stop.signal
  }

  /** Ends the session now: the protocol closes both sockets, then the lease is revoked. */
  stop(reason: Refusal): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(reason)
  }

  /** The client asked to cancel. True when that withdrew a held operation; false: the target has to be told. */
  cancel(): boolean {
    this.#held?.abort()
    return this.#held !== undefined
  }

  /** Lets what is running end, takes nothing new, then stops. */
  async drain(): Promise<void> {
    if (!this.#idle) await Promise.race([this.#inFlight.drained(), this.core.clock.sleep(DRAIN_MS, this.stopped)])
    this.stop(refuse('unavailable', 'The gateway is shutting down.', [{ do: 'wait', hint: 'Connect again later.' }]))
  }

  /**
   * Decides on and records what a client asks for before anything runs. It is sent with the start of the target's
   * connection and has no answer of its own: nor can it wait. The refusal, where there is one.
   */
  async admit(operation: Operation): Promise<Refusal | undefined> {
    const decided = decide(this, operation)
    const held = decided.verdict === 'hold' && refuse('denied', 'This needs approval, and nothing waits at the start.')
    const refusal = decided.verdict === 'deny' ? decided.refusal : held || undefined
    const decision = refusal ? ({ decision: 'deny', refusal } as const) : ({ decision: 'allow' } as const)
    try {
      await this.record(operationEntry(this.opening, operation, { ...decided, ...decision }))
      return refusal && { ...refusal, operation: operation.id }
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'unrecordable') throw error
      return { ...unrecordable(), operation: operation.id }
    }
  }

  /** Runs both loops until the client has no more to ask or the session is stopped. */
  async run(exchanges: Source<Exchange | Input>): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      if (this.stopped.aborted) resolve()
      this.stopped.addEventListener('abort', () => resolve(), { once: true })
    })
    const up = this.#up(exchanges).catch((error: unknown) => this.#broke(error, 'unreadable'))
    const down = this.#down()
      .catch((error: unknown) => this.#broke(error, 'unavailable'))
      .finally(() => this.#inFlight.leave())
    this.#loops = Promise.all([up, down])
    try {
      await Promise.race([this.#loops, stopped])
    } finally {
      this.#inFlight.close()
    }
    if (this.#defect !== undefined) throw this.#defect
  }

  /** Ends the session. What is no `Fault` is a defect of ours: `run` throws it for whoever runs the gateway to see. */
  #broke(error: unknown, protocol: 'unreadable' | 'unavailable'): void {
    if (!(error instanceof Fault)) this.#defect ??= error
    this.stop(broken(error, protocol))
  }

  async #up(exchanges: Source<Exchange | Input>): Promise<void> {
    for (;;) {
      const next = exchanges.next()
      const exchange = next instanceof Promise ? await next : next
      if (!exchange) break
      this.#idle = false
      if ('feeds' in exchange) {
        await this.#feed(exchange)
        if (this.stopped.aborted) return
        continue
      }
      const passed = this.#pass(exchange)
      const refusal = passed && (await passed)
      const pushed = this.#inFlight.push({ exchange, refusal })
      const taken = pushed === true || (await pushed)
      if (!taken && !refusal) await this.#answerLast(exchange)
      if (!taken || this.stopped.aborted) return
    }
    this.#inFlight.close()
  }

  /** It was sent, and then the session ended before *down* could take it: how it ended is recorded all the same. */
  async #answerLast(exchange: Exchange): Promise<void> {
    await this.settled()
    await this.#answer(exchange)
  }

  /** Decide, hold, record, send. Undefined when it was sent; else why not. */
  #pass(exchange: Exchange): Promise<Refusal | undefined> | undefined {
    if (exchange.operation === undefined) {
      exchange.send(this.permit)
      return undefined
    }
    const judged = judge(this, exchange, exchange.operation)
    return judged instanceof Promise
      ? judged.then((late) => this.#follow(exchange, late))
      : this.#follow(exchange, judged)
  }

  #follow(exchange: Exchange, { operation, decision }: Judged): Promise<Refusal | undefined> {
    if (decision.verdict === 'deny') return this.#refuse(exchange, operation, decision)
    if (decision.verdict === 'allow' || operation.stage === 'prepare') return this.#send(exchange, operation, decision)
    return this.#hold(exchange, operation, decision)
  }

  async #hold(exchange: Exchange, operation: Operation, hold: Hold): Promise<Refusal | undefined> {
    const released = await holdOperation(this, exchange, operation, hold)
    if ('refusal' in released) return this.#refuse(exchange, operation, released)
    return this.#send(exchange, operation, released)
  }

  /** Record, then send: more input of an operation that was decided on. What cannot be recorded ends the session. */
  async #feed(input: Input): Promise<void> {
    const { feeds, bytes, last } = input
    const entry: Entry = { type: 'input', ...this.place(), operation: feeds.id, ...this.#inputs.keep(feeds.id, bytes) }
    const stored = await this.core.recorder.append(entry, last && feeds.effect === 'final' ? 'synced' : 'written')
    if (!this.stopped.aborted) input.send(permitFrom(stored))
  }

  async #send(exchange: Exchange, operation: Operation, released: Released): Promise<Refusal | undefined> {
    const ready = exchange.ready?.()
    const refusal = ready instanceof Promise ? ((await ready) ?? this.#outdated(operation, released)) : ready
    if (refusal) return this.#refuse(exchange, operation, { ...released, refusal })
    try {
      const entry = operationEntry(this.opening, operation, { decision: 'allow', ...released })
      const stored = await this.core.recorder.append(entry, operation.effect === 'final' ? 'synced' : 'written')
      if (this.stopped.aborted) return this.stopped.reason as Refusal
      exchange.send(permitFrom(stored))
      return undefined
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'unrecordable') throw error
      exchange.fail(this.permit)
      return { ...unrecordable(), operation: operation.id }
    }
  }

  /** What was decided before a wait is no decision any more once something else is in force. */
  #outdated(operation: Operation, { policy }: Released): Refusal | undefined {
    if (this.core.policy().hash === policy) return objectionTo(this, operation)
    const message = 'The policies were changed while this waited for statements of other sessions.'
    return refuse('unavailable', message, [{ do: 'wait', hint: 'Send it again.' }])
  }

  /** A refusal is recorded like everything else; when it cannot be, nothing ran all the same. */
  async #refuse(
    exchange: Exchange,
    operation: Operation,
    decision: Released & { readonly refusal: Refusal },
  ): Promise<Refusal> {
    const refusal = { ...decision.refusal, operation: operation.id }
    exchange.fail(this.permit)
    try {
      await this.record(operationEntry(this.opening, operation, { ...decision, decision: 'deny', refusal }))
      return refusal
    } catch {
      return { ...unrecordable(), operation: operation.id }
    }
  }

  async #down(): Promise<void> {
    for (;;) {
      const next = this.#inFlight.next()
      const item = next instanceof Promise ? await next : next
      if (!item) return
      const { exchange, refusal } = item
      if (!refusal) await this.#answer(exchange)
      else if (!this.stopped.aborted) await exchange.refuse(refusal)
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    const parts = exchange.answer()
    for (;;) {
      const next = parts.next()
      const part = next instanceof Promise ? await next : next
      if (!part) return
      const replied = this.#reply(exchange, part)
      if (replied) await replied
    }
  }

  /** Mask, record, reply: the client never has what the log has not. */
  #reply(exchange: Exchange, part: Part): Soon<void> {
    const answer = maskPart(part, this.opening.masker)
    if (part.bookkeeping && !part.outcome) return this.stopped.aborted ? undefined : exchange.reply(answer)
    return this.#replyRecorded(exchange, part, answer)
  }

  async #replyRecorded(exchange: Exchange, part: Part, answer: Masked): Promise<void> {
    try {
      await this.core.recorder.append(this.#answerEntry(exchange, part, answer), 'written')
    } catch (error) {
      await this.#unrecorded(exchange, part, error)
    }
    if (this.stopped.aborted) return
    const replied = exchange.reply(answer)
    if (replied) await replied
  }

  /** An answer that cannot be recorded ends the session; how its operation ended may be all that there is room for. */
  async #unrecorded(exchange: Exchange, { outcome }: Part, error: unknown): Promise<void> {
    if (!(error instanceof Fault) || error.code !== 'unrecordable') throw error
    this.stop(unrecordable())
    const operation = exchange.operation?.id
    if (outcome) await this.record({ type: 'answer', ...this.place(), operation, size: 0, bytes: '', outcome })
  }

  #answerEntry(exchange: Exchange, part: Part, { bytes }: Masked): Entry {
    const operation = exchange.operation?.id
    const { session, target, identity } = this.place()
    const { size, bytes: whole, digest } = this.#answers.keep(operation, bytes)
    return { type: 'answer', session, target, identity, operation, size, bytes: whole, digest, outcome: part.outcome }
  }

  /** Appends an entry of this session. Throws Fault `unrecordable`. */
  async record(entry: Entry): Promise<void> {
    await this.core.recorder.append(entry, 'written')
  }

  /** The fields that every entry of this session repeats. */
  place(): InSession {
    return this.#place
  }

  /** Waits until everything sent before was answered and the answers replied. */
  async settled(): Promise<void> {
    await this.#inFlight.drained()
  }

  /** While a hold waits, `cancel` aborts this signal. */
  async whileHeld<T>(wait: (cancelled: AbortSignal) => Promise<T>): Promise<T> {
    const held = new AbortController()
    this.#held = held
    try {
      return await wait(AbortSignal.any([held.signal, this.stopped]))
    } finally {
      this.#held = undefined
    }
  }

  #expireLater(): () => void {
    const alive = new AbortController()
    const { clock } = this.core
    const { expiresAt } = this.opening
    const end = clock.monotonic() + expiresAt - clock.now()
    const left = (): number => Math.min(expiresAt - clock.now(), end - clock.monotonic())
    const expire = async (): Promise<void> => {
      while (left() > 0 && !alive.signal.aborted) await clock.sleep(Math.min(left(), EXPIRY_LOOK_MS), alive.signal)
      if (!alive.signal.aborted) this.stop(grantEnded())
    }
    void expire()
    return () => alive.abort()
  }

  /** Close, revoke, verify, record. The sockets are closed already. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  /** What was under way is given up by its protocol: how it ended is recorded before the end of the session is. */
  async #woundUp(): Promise<void> {
    const over = new AbortController()
    await Promise.race([this.#loops, this.core.clock.sleep(WIND_UP_MS, over.signal)])
    over.abort()
  }

  async #end(): Promise<void> {
    this.#cancelExpiry()
    this.stop(refuse('cancelled', 'The client left.'))
    const reason = this.stopped.reason as Refusal
    const { lease, grant, target, id } = this.opening
    const revocation = await lease.revoke()
    await this.#woundUp()
    this.core.live.delete(id)
    try {
      await this.record({
        type: 'lease.revoked',
        session: id,
        target,
        lease: lease.name,
        reason: 'session ended',
        ...revocation,
      })
      await this.record({ type: 'session.closed', ...this.place(), reason: reason.message })
    } finally {
      await this.core.grants.end(grant)
    }
    await this.core.recorder.checkpoint()
  }
}

/** The wall clock can jump while a session sleeps until its end: it looks this often, in ms. */
const EXPIRY_LOOK_MS = 1_000
/** How long a draining session may still work, in ms. */
const DRAIN_MS = 10_000
/** How long what was under way may take to be given up once the session has ended, in ms. */
const WIND_UP_MS = 1_000

/** `protocol`: what a message that breaks its protocol means here: the client's is unreadable, the target's no answer. */
function broken(error: unknown, protocol: 'unreadable' | 'unavailable'): Refusal {
  if (!(error instanceof Fault)) return refuse('unavailable', 'The session cannot go on: an internal error.')
  if (error.code === 'unrecordable') return unrecordable()
  const code = error.code === 'protocol' ? protocol : 'unavailable'
  return refuse(code, sentence(`The session cannot go on: ${error.message}`), [{ do: 'wait', hint: 'Connect again.' }])
}
