import type { Answered } from '../../src/record/entry.ts'
import { letterOf } from './answer-book.ts'

/** Only the target says these, and what has them in it is recorded. */
const SAID_BY_TARGET = 'TDdVCAI'

/** What the record has of one session's answers, against what its client hears: nothing that was not recorded before. */
export class RecordedAnswers {
  #pieces: Buffer[] = []
  /** In the first piece. */
  #at = 0
  /** Of a long answer the record has a digest only. */
  #complete = true

  recorded({ bytes, size }: Pick<Answered, 'bytes' | 'size'>): void {
    if (bytes === undefined) this.#complete = false
    else if (size > 0 && this.#complete) this.#pieces.push(Buffer.from(bytes, 'base64'))
  }

  /** Why the client cannot have this message yet. What was recorded and did not arrive is passed over. */
  problemWith(frame: Buffer): string | undefined {
    if (!this.#complete || !SAID_BY_TARGET.includes(letterOf(frame))) return undefined
    for (let one = this.#next(); one; one = this.#next()) if (one.equals(frame)) return undefined
    return `not recorded: ${letterOf(frame)} ${frame.toString('latin1', 5, 200)}`
  }

  #next(): Buffer | undefined {
    const [piece] = this.#pieces
    if (!piece) return undefined
    const end = this.#at + 1 + piece.readUInt32BE(this.#at + 1)
    const frame = piece.subarray(this.#at, end)
    this.#at = end
    if (end < piece.length) return frame
    this.#pieces.shift()
    this.#at = 0
    return frame
  }
}
