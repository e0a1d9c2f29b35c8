import { isUtf8 } from 'node:buffer'
import { Fault } from '../../gateway/fault.ts'
import type { Frame } from './frames.ts'

/** Behind the type byte and the length. `name` is the message's own, for the fault. */
export function openBody(name: string, { bytes }: Frame): Cursor {
  return new Cursor(name, bytes, HEADER)
}

const HEADER = 5

/** Reads the body of one message from front to back. Every step that the bytes do not allow throws Fault `protocol`. */
export class Cursor {
  readonly #name: string
  readonly #bytes: Buffer
  #at: number

  /** From the byte `at` on. */
  constructor(name: string, bytes: Buffer, at: number) {
    this.#name = name
    this.#bytes = bytes
    this.#at = at
  }

  /** Int8, Int16 and Int32 of the protocol; counts are unsigned, as the server reads them. */
  uint8(): number {
    return this.#bytes[this.#advance(1)]!
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4))
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  /** As many bytes, as a view. */
  bytes(length: number): Buffer {
    return this.#bytes.subarray(this.#advance(length), this.#at)
  }

  /** String: up to a NUL, which is consumed. Strict UTF-8. */
  text(): string {
    const { start, end } = this.#string()
    const text = this.#bytes.toString('utf8', start, end)
    // Only what has become U+FFFD can have been no UTF-8.
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(start, end))) this.#fail('a string is not UTF-8')
    return text
  }

  /** String in an encoding that is not known for sure: what is not UTF-8 becomes U+FFFD. */
  looseText(): string {
    const { start, end } = this.#string()
    return this.#bytes.toString('utf8', start, end)
  }

  /** A list behind its own Int16 count, of items of at least `size` bytes: a count the body cannot hold is refused first. */
  list<Item>(size: number, item: () => Item): Item[] {
    const count = this.uint16()
    if (count * size > this.#bytes.length - this.#at) this.#fail('it has fewer items than it says')
    const items: Item[] = []
    while (items.length < count) items.push(item())
    return items
  }

  /** Int32 length and value; -1 is NULL. */
  value(): Buffer | null {
    const length = this.int32()
    if (length < -1) this.#fail('a value has a negative length')
    return length === -1 ? null : this.bytes(length)
  }

  /** All that is left. */
  rest(): Buffer {
    return this.bytes(this.#bytes.length - this.#at)
  }

  /** The value read, once it is certain that nothing follows it. */
  ended<Value>(value: Value): Value {
    if (this.#at < this.#bytes.length) this.#fail('bytes are left over')
    return value
  }

  #advance(count: number): number {
    const from = this.#at
    if (count > this.#bytes.length - from) this.#fail('it ends too early')
    this.#at = from + count
    return from
  }

  #string(): { readonly start: number; readonly end: number } {
    const start = this.#at
    const end = this.#bytes.indexOf(0, start)
    if (end < 0) this.#fail('a string has no end')
    this.#at = end + 1
    return { start, end }
  }

  #fail(why: string): never {
    throw new Fault('protocol', `malformed ${this.#name}: ${why}`)
  }
}
