import type { Socket } from 'node:net'
import { Fault } from '../../gateway/fault.ts'
import { Queue } from '../../gateway/queue.ts'
import type { Turns } from '../../gateway/turns.ts'
import { soon, type Soon, type Source } from '../../gateway/source.ts'
import type { Frame } from './frames.ts'
import { FRONTEND } from './message-types.ts'

/** What comes in: a message of the client's, or one that the target sent of its own accord. */
export type Event = {
  readonly from: 'client' | 'target'
  readonly frame: Frame
  /** Of CopyData: those behind it that came in before it was read. */
  readonly more?: Frame[]
}

/** Client messages waiting to be read above which the client's socket is not read further; and bytes. */
const FULL = 1_000
const FULL_BYTES = 1 << 20
/** Bytes of messages that the target sent unasked and that still wait, above which the session ends. */
const MOST_UNASKED = 16 << 20
/** What a client may have done in one go while more of its messages wait; a driver's batch is less. */
const SHARE = 12
/** Of that, what a message takes that is read and decided. Any other takes 1. */
const COSTS: ReadonlyMap<number, number> = new Map(
  [FRONTEND.Query, FRONTEND.Parse, FRONTEND.Execute, FRONTEND.FunctionCall].map((type) => [type, 4]),
)

/** What waits to be read, in order and bounded: by no longer reading the client, or by giving the target up. */
export class Incoming implements Source<Event> {
  readonly #events = new Queue<Event>(Infinity)
  readonly #client: Socket
  /** Of the client's. */
  #unread = { messages: 0, bytes: 0 }
  /** Bytes of the target's. */
  #unasked = 0
  #terminated = false
  /** The CopyData that came in last, as long as it waits and nothing came behind it. */
  #copying: Event | undefined
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
    if (this.#copying && frame.type === FRONTEND.CopyData) this.#copying.more!.push(frame)
    else this.#push({ from: 'client', frame, ...(frame.type === FRONTEND.CopyData && { more: [] }) })
    if (frame.type === FRONTEND.Terminate) this.#terminated = true
    this.#unread.messages++
    this.#unread.bytes += frame.bytes.length
    if (this.#unread.messages >= FULL || this.#unread.bytes >= FULL_BYTES) this.#client.pause()
  }

  /** Throws Fault `target` when too much of it waits. */
  fromTarget(frame: Frame): void {
    this.#unasked += frame.bytes.length
    if (this.#unasked > MOST_UNASKED) throw new Fault('target', 'the target sends more unasked than the client reads')
    this.#push({ from: 'target', frame })
  }

  #push(event: Event): void {
    this.#copying = event.more && event
    this.#events.pushNow(event)
  }

  /** Nothing more comes; what waits is still read. */
  close(): void {
    this.#events.close()
  }

  /** Ends with the client's Terminate, or once closed. */
  next(): Soon<Event | undefined> {
    return soon(this.#events.next(), (event) => event && this.#inTurn(event))
  }

  /** The client's next message if it is of this type and there already. */
  takeIf(type: number): Frame | undefined {
    const event = this.#events.peek()
    if (event?.from !== 'client' || event.frame.type !== type) return undefined
    void this.#events.next()
    this.#taken(event)
    return event.frame
  }

  /** The event, when it may be worked on: whoever has more waiting than a share takes turns until nothing waits. */
  #inTurn(event: Event): Soon<Event | undefined> {
    const taken = this.#taken(event)
    if (this.#unread.messages === 0) this.#had = this.#due = 0
    else this.#had += COSTS.get(event.frame.type) ?? 1
    if (this.#had < SHARE) this.#turns.small()
    if (this.#had < SHARE || this.#had < this.#due) return taken
    this.#due = this.#had + SHARE
    return this.#turns.next().then(() => taken)
  }

  #taken(event: Event): Event | undefined {
    const { from, frame, more = [] } = event
    if (event === this.#copying) this.#copying = undefined
    if (from === 'target') {
      this.#unasked -= frame.bytes.length
      return event
    }
    this.#unread.messages -= 1 + more.length
    this.#unread.bytes -= more.reduce((sum, { bytes }) => sum + bytes.length, frame.bytes.length)
    const { messages, bytes: unread } = this.#unread
    if (messages <= FULL / 2 && unread <= FULL_BYTES / 2 && this.#client.isPaused()) this.#client.resume()
    return frame.type === FRONTEND.Terminate ? undefined : event
  }
}
