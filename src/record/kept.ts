import { createHash, type Hash } from 'node:crypto'
import type { OperationId } from '../gateway/domain.ts'

/** Bytes of one operation's masked answer, and of its input, that are kept whole in the log. */
const KEPT_WHOLE = 256 * 1024

/** What an entry says of a piece of wire bytes. */
export type KeptPiece = { readonly size: number; readonly bytes?: string; readonly digest?: string }

/** Keeps the first pieces that belong to an operation whole, and of what follows a rolling digest. */
export class Kept {
  #operation: OperationId | undefined
  #bytes = 0
  #hash: Hash | undefined

  /** The next piece; those of one operation come one after the other. */
  keep(operation: OperationId | undefined, piece: Uint8Array): KeptPiece {
    if (this.#operation !== operation) {
      this.#operation = operation
      this.#bytes = 0
      this.#hash = undefined
    }
    this.#bytes += piece.length
    if (this.#bytes > KEPT_WHOLE) this.#hash ??= createHash('sha256')
    this.#hash?.update(piece)
    return { size: piece.length, ...(this.#hash ? { digest: this.#hash.copy().digest('hex') } : whole(piece)) }
  }
}

function whole({ buffer, byteOffset, length }: Uint8Array): { readonly bytes: string } {
  return { bytes: Buffer.from(buffer, byteOffset, length).toString('base64') }
}
