import { isUtf8 } from 'node:buffer'
import { Fault } from '../../gateway/fault.ts'

/** Reads the body of one message from front to back. Every step that the bytes do not allow throws Fault `protocol`. */
export type Cursor = {
  /** Int8, Int16 and Int32 of the protocol; counts are unsigned, as the server reads them. */
  readonly uint8: () => number
  readonly uint16: () => number
  readonly int32: () => number
  readonly uint32: () => number
  /** As many bytes, as a view. */
  readonly bytes: (length: number) => Buffer
  /** String: up to a NUL, which is consumed. Strict UTF-8. */
  readonly text: () => string
  /** String in an encoding that is not known for sure: what is not UTF-8 becomes U+FFFD. */
  readonly looseText: () => string
  /** A list behind its own Int16 count, of items of at least `size` bytes: a count the body cannot hold is refused first. */
  readonly list: <Item>(size: number, item: () => Item) => Item[]
  /** Int32 length and value; -1 is NULL. */
  readonly value: () => Buffer | null
  /** All that is left. */
  readonly rest: () => Buffer
  /** Refuses trailing bytes. */
  readonly end: () => void
}

/** `name` is the message's own, for the fault. */
export function createCursor(name: string, bytes: Buffer): Cursor {
  let at = 0
  const fail = (why: string): never => {
    throw new Fault('protocol', `malformed ${name}: ${why}`)
  }
  const advance = (count: number): number => {
    if (count > bytes.length - at) fail('it ends too early')
    at += count
    return at - count
  }
  const cString = (): Buffer => {
    const end = bytes.indexOf(0, at)
    if (end < 0) fail('a string has no end')
    const start = advance(end + 1 - at)
    return bytes.subarray(start, end)
  }
  const cursor: Cursor = {
    uint8: () => bytes[advance(1)]!,
    uint16: () => bytes.readUInt16BE(advance(2)),
    int32: () => bytes.readInt32BE(advance(4)),
    uint32: () => bytes.readUInt32BE(advance(4)),
    bytes: (length) => bytes.subarray(advance(length), at),
    text: () => {
      const string = cString()
      return isUtf8(string) ? string.toString('utf8') : fail('a string is not UTF-8')
    },
    looseText: () => cString().toString('utf8'),
    list: (size, item) => {
      const count = cursor.uint16()
      if (count * size > bytes.length - at) fail('it has fewer items than it says')
      return Array.from({ length: count }, item)
    },
    value: () => {
      const length = cursor.int32()
      if (length < -1) fail('a value has a negative length')
      return length === -1 ? null : cursor.bytes(length)
    },
    rest: () => bytes.subarray(advance(bytes.length - at)),
    end: () => {
      if (at < bytes.length) fail('bytes are left over')
    },
  }
  return cursor
}

/** The value read, once it is certain that nothing follows it. */
export function ended<Value>(cursor: Cursor, value: Value): Value {
  cursor.end()
  return value
}
