import { Fault } from '../../gateway/fault.ts'

/**
 * One message of the wire: `bytes` starts with the type byte and the length. `dropped`: how many bytes more it had, of a
 * message that was too long to be kept; absent when `bytes` is all of it.
 */
export type Frame = { readonly type: number; readonly bytes: Buffer; readonly dropped?: number }

/**
 * The largest length (as the length field counts it: itself included, the type byte not) that a message of this type,
 * given by its ASCII code, may have. 0: no such message.
 */
export type FrameLimit = (type: number) => number

const HEADER = 5
const NOTHING = Buffer.alloc(0)
/** A frame that is not whole yet gets at most this much memory before its bytes are there. */
const EAGER = 1 << 20
/** What is kept of the beginning of a message that is too long to be kept whole. */
const BEGINNING = 4096

/** What follows the type byte and the length. */
export function body(frame: Frame): Buffer {
  return frame.bytes.subarray(HEADER)
}

/**
 * Cuts a byte stream into messages (PostgreSQL protocol 3, "Messaging Overview"). A frame that lies whole inside a chunk
 * is a view of it, any other is copied once. A type or length that is not allowed throws Fault `protocol` as soon as it
 * is seen, and from then on every push does. Of a message longer than `whole` only the beginning is kept.
 */
export class FrameReader {
  readonly #limit: FrameLimit
  readonly #whole: FrameLimit
  #held: Buffer = NOTHING
  #filled = 0
  /** Size of the frame in `#held`, or of its beginning; 0 while its header is not whole. */
  #total = 0
  /** Bytes of the frame in `#held` that are not kept, and how many of them are still to come. */
  #dropped = 0
  #toDrop = 0
  #broken: Fault | undefined

  constructor(limit: FrameLimit, whole: FrameLimit = limit) {
    this.#limit = limit
    this.#whole = whole
  }

  /** The bytes of a frame that is not whole yet. */
  get pending(): Buffer {
    return this.#held.subarray(0, this.#filled)
  }

  push(chunk: Buffer): Frame[] {
    if (this.#broken) throw this.#broken
    const frames: Frame[] = []
    let at = this.#filled > 0 ? this.#gather(chunk, 0, frames) : 0
    while (chunk.length - at >= HEADER) {
      const total = this.#measure(chunk, at)
      if (chunk.length - at < total || this.#isLong(chunk[at]!, total)) at = this.#gather(chunk, at, frames)
      else frames.push({ type: chunk[at]!, bytes: chunk.subarray(at, (at += total)) })
    }
    if (at < chunk.length) this.#gather(chunk, at, frames)
    return frames
  }

  /** Begins a frame that has to be gathered, or gives it its next bytes; where in the chunk the next one begins. */
  #gather(chunk: Buffer, start: number, frames: Frame[]): number {
    let at = start
    if (this.#filled === 0) this.#allowed(chunk[at]!)
    if (this.#total === 0) {
      at += this.#take(chunk, at, HEADER - this.#filled)
      if (this.#filled < HEADER) return at
      const total = this.#measure(this.#held, 0)
      this.#total = this.#isLong(this.#held[0]!, total) ? Math.min(total, BEGINNING) : total
      this.#dropped = this.#toDrop = total - this.#total
    }
    at += this.#take(chunk, at, this.#total - this.#filled)
    const dropping = Math.min(this.#toDrop, chunk.length - at)
    this.#toDrop -= dropping
    if (this.#filled === this.#total && this.#toDrop === 0) this.#finish(frames)
    return at + dropping
  }

  #finish(frames: Frame[]): void {
    const frame = { type: this.#held[0]!, bytes: this.#held }
    frames.push(this.#dropped > 0 ? { ...frame, dropped: this.#dropped } : frame)
    this.#held = NOTHING
    this.#filled = this.#total = this.#dropped = 0
  }

  #isLong(type: number, total: number): boolean {
    return total - 1 > this.#whole(type)
  }

  #take(chunk: Buffer, at: number, wanted: number): number {
    const taken = Math.min(wanted, chunk.length - at)
    this.#reserve(this.#filled + taken)
    chunk.copy(this.#held, this.#filled, at, at + taken)
    this.#filled += taken
    return taken
  }

  #reserve(size: number): void {
    const whole = this.#total || HEADER
    if (this.#held.length >= Math.min(size, whole) && this.#held.length > 0) return
    const grown = Buffer.allocUnsafe(Math.min(whole, Math.max(EAGER, 2 * size)))
    this.#held.copy(grown, 0, 0, this.#filled)
    this.#held = grown
  }

  #measure(bytes: Buffer, at: number): number {
    const limit = this.#allowed(bytes[at]!)
    const length = bytes.readUInt32BE(at + 1)
    if (length < 4) this.#fail(`a message has the length ${length}`)
    if (length > limit) this.#fail(`a message of type ${show(bytes[at]!)} has ${length} bytes, more than ${limit}`)
    return length + 1
  }

  #allowed(type: number): number {
    const limit = this.#limit(type)
    if (limit === 0) this.#fail(`no message has the type ${show(type)}`)
    return limit
  }

  #fail(message: string): never {
    this.#broken = new Fault('protocol', message)
    throw this.#broken
  }
}

function show(type: number): string {
  return type > 0x20 && type < 0x7f ? `'${String.fromCharCode(type)}'` : `0x${type.toString(16).padStart(2, '0')}`
}

/** MAX_STARTUP_PACKET_LENGTH of PostgreSQL, which does not count the length field. */
const STARTUP_LIMIT = 10_000

/**
 * The first message of a connection, which has no type byte: itself whole (length included) and what came behind it, or
 * undefined while it is not complete. Throws Fault `protocol` for a length that PostgreSQL itself would not take.
 */
export function startupFrame(received: Buffer): { readonly bytes: Buffer; readonly rest: Buffer } | undefined {
  if (received.length < 4) return undefined
  const length = received.readUInt32BE(0)
  if (length < 8 || length > 4 + STARTUP_LIMIT)
    throw new Fault('protocol', `a startup message has the length ${length}`)
  if (received.length < length) return undefined
  return { bytes: received.subarray(0, length), rest: received.subarray(length) }
}
