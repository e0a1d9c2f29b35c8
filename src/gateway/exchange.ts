import type { Masker } from '../mask/masker.ts'
import type { Operation, Preview, Refusal } from './domain.ts'
import type { Permit } from './permit.ts'
import type { Soon, Source } from './source.ts'

/** How an operation ended at the target. */
export type Outcome = {
  /**
   * `skipped`: the target ignored it because something before it failed. `unknown`: it was sent, and the session or the
   * target's connection ended before its answer did: it may have been done.
   */
  readonly status: 'done' | 'failed' | 'skipped' | 'unknown'
  /** Rows returned or changed, when the target says. */
  readonly rows?: number
  /** The target's own error code. */
  readonly code?: string
}

/** A piece of an answer, as the target sent it: a batch of whole messages, about 64 KiB at most. */
export interface Part {
  /** The bytes the client may see. Called once, by the core's mask step. */
  mask(masker: Masker): Uint8Array
  /** True when it says only that the protocol went on (ParseComplete, ReadyForQuery): nothing to record. */
  readonly bookkeeping: boolean
  /** On the last part of an operation. */
  readonly outcome?: Outcome
}

declare const masked: unique symbol
/** A part that went through the mask step: the only thing that can be recorded and replied. */
export type Masked = { readonly bytes: Uint8Array; readonly [masked]: true }

/** The mask step: the one place that makes a `Masked`. */
export function maskPart(part: Part, masker: Masker): Masked {
  return { bytes: part.mask(masker) } as Masked
}

/**
 * More input of an operation that was decided on and sent (rows of a COPY, the body of a request): recorded, then sent.
 * What answers it is part of the operation's answer.
 */
export interface Input {
  readonly feeds: Operation
  /** Exactly as it goes to the target. */
  readonly bytes: Uint8Array
  /** True when nothing follows: the operation may take effect. */
  readonly last: boolean
  send(permit: Permit): void
}

/** What the client is told while its operation is held. */
export type Waiting = { readonly message: string; readonly refusal: Refusal }

/**
 * Whether an operation can wait for a human. `idle`: the target is idle, it can. `busy`: a transaction is open, something
 * before it is unsettled, or its client would rather have a ticket: it cannot. `gone`: something before it failed, it will not run at all.
 */
export type Pause = 'idle' | 'busy' | 'gone'

/**
 * One thing in flight, as a protocol presents it to the session. `pause`, `send` and `fail` are called in the order the
 * client asked (the *up* loop); `answer`, `reply` and `refuse` in that same order, later (the *down* loop).
 */
export interface Exchange {
  /** Absent: a message that runs under the session's own permit (Sync, Close, a notice the target began). */
  readonly operation?: Operation
  /** Before a hold waits: closes what the preparation of this operation opened at the target. */
  pause(session: Permit): Promise<Pause>
  /** Measured at the target for the approver, while the target is idle; `permitted` before anything is sent for it. */
  preview(permitted: () => Promise<Permit>): Promise<Preview>
  /**
   * The operation with the facts that only the target can tell (`rows_estimate`), as far as it can tell them now; `permitted`
   * before anything is sent for it. `gone`: something before it failed, it will not run at all.
   */
  measure(session: Permit, permitted: () => Promise<Permit>): Promise<Operation | 'gone'>
  /** Tells the client that its operation waits. Nothing before it is unanswered. */
  notify(waiting: Waiting): void
  /**
   * Of an operation that is decided on and about to be recorded: waits for what has to be over before it may go. A refusal
   * where it cannot go as it was decided on.
   */
  ready?(): Soon<Refusal | undefined>
  /** To the target; does not wait. */
  send(permit: Permit): void
  /** Instead of `send` when refused: makes the target fail too wherever the client will believe it did. */
  fail(session: Permit): void
  /** What comes back, unmasked, in order. The last part of an operation carries its outcome. */
  answer(): Source<Part>
  /** To the client; awaiting it is the backpressure. */
  reply(part: Masked): Soon<void>
  /** In the protocol's own words; the connection stays usable. */
  refuse(refusal: Refusal): Promise<void>
}
