import { randomBytes } from 'node:crypto'

/** A UUIDv7 (RFC 9562 section 5.7): sorts by time of making. */
function uuidv7(nowMs: number): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(nowMs, 0, 6)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** A fresh id of the form `op_0190f6a2-…`. */
export function newId<P extends 'op' | 'ses' | 'grt' | 'apr' | 'rec'>(prefix: P, nowMs: number): `${P}_${string}` {
  return `${prefix}_${uuidv7(nowMs)}`
}
