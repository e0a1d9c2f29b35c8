import { Fault } from '../../gateway/fault.ts'

/** One message of the wire, whole: `bytes` starts with the type byte and the length. */
export type Frame = { readonly type: number; readonly bytes: Buffer }

/**
 * The largest length (as the length field counts it: itself included, the type byte not) that a message of this type,
 * given by its ASCII code, may have. 0: no such message.
 */
export type FrameLimit = (type: number) => number

const HEADER = 5
/** A frame that is not whole yet gets at most this much memory before its bytes are there. */
const EAGER = 1 << 20

/** What follows the type byte and the length. */
export function body(frame: Frame): Buffer {
  return frame.bytes.subarray(HEADER)
}

/**
 * Cuts a byte stream into messages (PostgreSQL protocol 3, "Messaging Overview"). A frame that lies whole inside a chunk
 * is a view of it, any other is copied once. A type or length that is not allowed throws Fault `protocol` as soon as it
 * is seen, and from then on every push does.
 */
export class FrameReader {
  readonly #limit: FrameLimit
  #held: Buffer = Buffer.alloc(0)
  #filled = 0
  /** Size of the frame in `#held`; 0 while its header is not whole. */
  #total = 0
  #broken: Fault | undefined

  constructor(limit: FrameLimit) {
    this.#limit = limit
  }

  /** The bytes of a frame that is not whole yet. */
  get pending(): Buffer {
    return this.#held.subarray(0, this.#filled)
  }

  push(chunk: Buffer): Frame[] {
    if (this.#broken) throw this.#broken
    const frames: Frame[] = []
    let at = this.#resume(chunk, frames)
    while (chunk.length - at >= HEADER) {
      const total = this.#measure(chunk, at)
      if (chunk.length - at < total) break
      frames.push({ type: chunk[at]!, bytes: chunk.subarray(at, at + total) })
      at += total
    }
    if (at < chunk.length) this.#keep(chunk, at)
    return frames
  }

  /** Gives the frame begun in an earlier chunk its next bytes; how many it took. */
  #resume(chunk: Buffer, frames: Frame[]): number {
    if (this.#filled === 0) return 0
    let at = 0
    if (this.#total === 0) {
      at = this.#take(chunk, 0, HEADER - this.#filled)
      if (this.#filled < HEADER) return at
      this.#total = this.#measure(this.#held, 0)
    }
    at += this.#take(chunk, at, this.#total - this.#filled)
    if (this.#filled < this.#total) return at
    frames.push({ type: this.#held[0]!, bytes: this.#held })
    this.#held = Buffer.alloc(0)
    this.#filled = 0
    this.#total = 0
    return at
  }

  #keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at
    if (rest >= HEADER) this.#total = this.#measure(chunk, at)
    else this.#allowed(chunk[at]!)
    this.#take(chunk, at, rest)
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
