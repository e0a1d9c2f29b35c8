/** A value inside a binary array or row; `typeOid` 0 when nothing says what it is. */
export type Leaf = { readonly typeOid: number; readonly bytes: Buffer }

const DEEPEST = 8
const MAX_DIMENSIONS = 6

/**
 * The values inside a binary array (`array_send`) or row (`record_send`), those in nested ones too; the value itself when
 * it is neither. Undefined when it is nested deeper than anyone nests.
 */
export function leavesOf(bytes: Buffer, typeOid = 0, depth = 0): readonly Leaf[] | undefined {
  const inner = readArray(bytes) ?? readRow(bytes)
  if (!inner) return [{ typeOid, bytes }]
  if (depth === DEEPEST) return undefined
  const leaves: Leaf[] = []
  for (const value of inner) {
    const found = leavesOf(value.bytes, value.typeOid, depth + 1)
    if (!found) return undefined
    for (const leaf of found) leaves.push(leaf)
  }
  return leaves
}

/** Int32 dimensions, Int32 flags, element type; size and lower bound of each dimension; lengths and elements. */
function readArray(bytes: Buffer): readonly Leaf[] | undefined {
  if (bytes.length < 20) return undefined
  const dimensions = bytes.readUInt32BE(0)
  const typeOid = bytes.readUInt32BE(8)
  let at = 12 + 8 * dimensions
  if (dimensions === 0 || dimensions > MAX_DIMENSIONS || bytes.readUInt32BE(4) > 1 || at > bytes.length)
    return undefined
  const leaves: Leaf[] = []
  while (at < bytes.length) {
    const end = valueEnd(bytes, at)
    if (end === undefined) return undefined
    if (end > at + 4) leaves.push({ typeOid, bytes: bytes.subarray(at + 4, end) })
    at = end
  }
  return leaves
}

/** Int32 fields; of each the type, the length and the value. */
function readRow(bytes: Buffer): readonly Leaf[] | undefined {
  if (bytes.length < 12) return undefined
  const leaves: Leaf[] = []
  let fields = 0
  let at = 4
  while (at < bytes.length) {
    const end = bytes.length - at < 8 ? undefined : valueEnd(bytes, at + 4)
    if (end === undefined) return undefined
    if (end > at + 8) leaves.push({ typeOid: bytes.readUInt32BE(at), bytes: bytes.subarray(at + 8, end) })
    fields++
    at = end
  }
  return fields === bytes.readUInt32BE(0) ? leaves : undefined
}

function valueEnd(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < 4) return undefined
  const length = bytes.readInt32BE(at)
  if (length < -1 || length > bytes.length - at - 4) return undefined
  return at + 4 + Math.max(length, 0)
}
