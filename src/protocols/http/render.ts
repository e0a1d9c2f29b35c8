import { isUtf8 } from 'node:buffer'
import type { OperationId } from '../../gateway/domain.ts'
import { decodeHead } from '../../http/head.ts'

/** A recorded piece of an answer as a person reads it. Bytes that are no text stand as `\x…`. */
export type Rendered =
  | { readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | { readonly body: string }

/** Reads the recorded pieces of a session's answers, in the order they were recorded: the first of each has its head. */
export function renderer(): (bytes: Buffer, operation: OperationId | undefined) => readonly Rendered[] {
  let current: OperationId | undefined
  return (bytes, operation) => {
    if (operation === current) return rest(bytes)
    const { status, fields, body } = decodeHead(bytes)
    current = operation
    return [{ status, headers: Object.fromEntries(fields) }, ...rest(body)]
  }
}

function rest(bytes: Buffer): readonly Rendered[] {
  if (bytes.length === 0) return []
  return [{ body: isUtf8(bytes) && !bytes.includes(0) ? bytes.toString('utf8') : `\\x${bytes.toString('hex')}` }]
}
