import type { Soon } from '../../gateway/source.ts'
import type { Frame } from './frames.ts'
import type { Expectation, Result } from './answers.ts'
import { BACKEND } from './message-types.ts'

const DESCRIBES: ReadonlySet<number> = new Set([BACKEND.RowDescription, BACKEND.NoData])

/** What has come in since the last batch, and whether it was the last. */
export type Batch = { readonly frames: readonly Frame[]; readonly last: boolean }

/**
 * The answer to one exchange while it comes in: frames gather here, and are taken out in batches by whoever replies to
 * the client.
 */
export class Inbox {
  #frames: Frame[]
  #bytes = 0
  #open = 0
  #sealed = false
  #ended = false
  #wake: (() => void) | undefined
  readonly #waiting: (bytes: number) => void

  /** `waiting` is told how many bytes more, or fewer, wait for the client; not of those in `received`. */
  constructor(waiting: (bytes: number) => void, received: readonly Frame[] = []) {
    this.#waiting = waiting
    this.#frames = [...received]
  }

  /**
   * An expectation whose frames come here; `also` is told too. `hidden`: the client did not ask for the description, but
   * an error in its place is the answer to what it asked.
   */
  expectation(sent: Expectation['sent'], also: Partial<Expectation> = {}, hidden = false): Expectation {
    this.#open++
    return new Arriving(this, sent, also, hidden)
  }

  /** One of the expectations is over. */
  settle(): void {
    this.#open--
    this.#notify()
  }

  put(frame: Frame): void {
    this.#frames.push(frame)
    this.#bytes += frame.bytes.length
    this.#waiting(frame.bytes.length)
    this.#notify()
  }

  /** Nothing more will be expected: the answer ends with the last open expectation. */
  seal(): void {
    this.#sealed = true
    this.#notify()
  }

  /** At least one batch, maybe empty; undefined after the last. */
  next(): Soon<Batch | undefined> {
    if (this.#ended) return undefined
    return this.#frames.length > 0 || this.#complete ? this.#take() : this.#takeLater()
  }

  async #takeLater(): Promise<Batch> {
    while (this.#frames.length === 0 && !this.#complete) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#take()
  }

  #take(): Batch {
    const frames = this.#frames
    this.#frames = []
    this.#waiting(-this.#bytes)
    this.#bytes = 0
    this.#ended = this.#complete
    return { frames, last: this.#ended }
  }

  get #complete(): boolean {
    return this.#sealed && this.#open === 0
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

/** What is expected for one inbox. */
class Arriving implements Expectation {
  readonly sent: Expectation['sent']
  readonly copies: boolean | undefined
  readonly #inbox: Inbox
  readonly #also: Partial<Expectation>
  readonly #hidden: boolean

  constructor(inbox: Inbox, sent: Expectation['sent'], also: Partial<Expectation>, hidden: boolean) {
    this.sent = sent
    this.copies = also.copies
    this.#inbox = inbox
    this.#also = also
    this.#hidden = hidden
  }

  frame(frame: Frame): void {
    this.#also.frame?.(frame)
    if (!this.#hidden || !DESCRIBES.has(frame.type)) this.#inbox.put(frame)
  }

  done(result: Result): void {
    this.#also.done?.(result)
    this.#inbox.settle()
  }
}
