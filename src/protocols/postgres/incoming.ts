import type { Socket } from 'node:net'
import { Fault } from '../../gateway/fault.ts'
import type { Turns } from '../../gateway/turns.ts'
import { Queue } from '../../gateway/queue.ts'
import type { Frame } from './frames.ts'
import { FRONTEND } from './message-types.ts'

/** What comes in: a message of the client's, or one that the target sent of its own accord. */
export type Event = { readonly from: 'client' | 'target'; readonly frame: Frame }

/** Client messages waiting to be read above which the client's socket is not read further; and bytes. */
const FULL = 1_000
const FULL_BYTES = 1 << 20
/** Bytes of messages that the target sent unasked and that still wait, above which the session ends. */
const MOST_UNASKED = 16 << 20
/** What a client may have done in one go while more of its messages wait; a driver's batch is less. */
const SHARE = 12
/** Of that, what a message takes that is read and decided. Any other takes 1. */
const COSTS: ReadonlyMap<number, number> = new Map(
  [FRONTEND.Query, FRONTEND.Parse, FRONTEND.Execute].map((type) => [type, 4]),
)

/** What waits to be read, in order and bounded: by no longer reading the client, or by giving the target up. */
export class Incoming implements AsyncIterable<Event> {
  readonly #events = new Queue<Event>(Infinity)
  readonly #client: Socket
  /** Of the client's. */
  #unread = { messages: 0, bytes: 0 }
  /** Bytes of the target's. */
  #unasked = 0
  #terminated = false
  readonly #turns: Turns
  /** What was read since nothing waited, and at how much of that others have their turn; in the unit of `SHARE`. */
  #had = 0
  #due = 0

  constructor(client: Socket, turns: Turns) {
    this.#client = client
    this.#turns = turns
  }

  /** True once the client has said that it goes: what it asked before still runs. */
  get terminated(): boolean {
    return this.#terminated
  }

  fromClient(frame: Frame): void {
    this.#events.pushNow({ from: 'client', frame })
    if (frame.type === FRONTEND.Terminate) this.#terminated = true
    this.#unread.messages++
    this.#unread.bytes += frame.bytes.length
    if (this.#unread.messages >= FULL || this.#unread.bytes >= FULL_BYTES) this.#client.pause()
  }

  /** Throws Fault `target` when too much of it waits. */
  fromTarget(frame: Frame): void {
    this.#unasked += frame.bytes.length
    if (this.#unasked > MOST_UNASKED) throw new Fault('target', 'the target sends more unasked than the client reads')
    this.#events.pushNow({ from: 'target', frame })
  }

  /** Nothing more comes; what waits is still read. */
  close(): void {
    this.#events.close()
  }

  /** Ends with the client's Terminate, or once closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event> {
    for await (const event of this.#events) {
      this.#taken(event)
      await this.#myTurn(event.frame.type)
      if (event.from === 'client' && event.frame.type === FRONTEND.Terminate) return
      yield event
    }
  }

  /** Resolves when the next message may be read. Whoever has more waiting than a share takes turns until nothing waits. */
  async #myTurn(type: number): Promise<void> {
    if (this.#unread.messages === 0) this.#had = this.#due = 0
    else this.#had += COSTS.get(type) ?? 1
    if (this.#had < SHARE) return this.#turns.small()
    if (this.#had < this.#due) return
    this.#due = this.#had + SHARE
    await this.#turns.next()
  }

  #taken({ from, frame: { bytes } }: Event): void {
    if (from === 'target') {
      this.#unasked -= bytes.length
      return
    }
    this.#unread.messages--
    this.#unread.bytes -= bytes.length
    const { messages, bytes: unread } = this.#unread
    if (messages <= FULL / 2 && unread <= FULL_BYTES / 2 && this.#client.isPaused()) this.#client.resume()
  }
}
