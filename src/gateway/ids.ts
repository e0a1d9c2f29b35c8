import { randomUUID } from 'node:crypto'

/** A UUIDv7 (RFC 9562 section 5.7): sorts by time of making. Its random bits are those of a UUIDv4, which node keeps ready. */
function uuidv7(nowMs: number): string {
  const time = nowMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}

/** A fresh id of the form `op_0190f6a2-…`. */
export function newId<P extends 'op' | 'ses' | 'grt' | 'apr' | 'rec'>(prefix: P, nowMs: number): `${P}_${string}` {
  return `${prefix}_${uuidv7(nowMs)}`
}
