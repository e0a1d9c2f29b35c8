import type { Refusal } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Masker } from '../../mask/masker.ts'
import type { CopyForm, Statement } from '../../sql/reader.ts'
import { maskRows, wholeRows } from './copy-rows.ts'
import { encodeCopyData } from './encode.ts'
import { body, type Frame } from './frames.ts'
import { decodeCopyResponse } from './messages-target.ts'
import type { PostgresTarget } from './postgres-target.ts'

/** A row that is spread over several messages waits for its end, up to this many bytes. */
const MOST_WAITING = 16 << 20

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * The rows of one COPY on their way to the client ("COPY Operations": copy-out mode). PostgreSQL sends one row a message,
 * but a row may be spread: what is searched is always whole.
 */
export class CopyOut {
  readonly #form: CopyForm
  #rest: Buffer = NOTHING

  /** `response` is the CopyOutResponse. */
  constructor(form: CopyForm | undefined, response: Frame) {
    const { binary } = decodeCopyResponse(response)
    if (form === undefined) throw new Fault('protocol', 'the target started a COPY that nobody asked for')
    if ((form.format === 'binary') !== binary)
      throw new Fault('protocol', 'the target writes the rows of a COPY in another format than it was asked for')
    this.#form = form
  }

  /** The CopyData as the client may see it: the very same bytes when nothing changes, nothing while a row is not whole. */
  data(frame: Frame, masker: Masker): Buffer {
    if (!masker.detects) return frame.bytes
    if (this.#form.format === 'binary') throw new Fault('protocol', 'rows of a binary COPY cannot be searched')
    const waiting = this.#rest.length > 0
    const data = waiting ? Buffer.concat([this.#rest, body(frame)]) : body(frame)
    const end = wholeRows(data, this.#form)
    if (data.length - end > MOST_WAITING)
      throw new Fault('target', `a row of a COPY has more than ${MOST_WAITING} bytes and no end`)
    this.#rest = data.subarray(end)
    const masked = maskRows(data.subarray(0, end), this.#form, masker)
    if (masked === undefined && !waiting && end === data.length) return frame.bytes
    return end === 0 ? NOTHING : encodeCopyData(masked ?? data.subarray(0, end))
  }

  /** What still waits, before CopyDone. */
  end(masker: Masker): Buffer {
    const rest = this.#rest
    this.#rest = NOTHING
    return rest.length === 0 ? NOTHING : encodeCopyData(maskRows(rest, this.#form, masker) ?? rest)
  }
}

/** Rows in binary are not searched by detectors: they stay where detectors are on, whatever the policy says. */
export function copyObjection(target: PostgresTarget, statements: readonly Statement[]): Refusal | undefined {
  const binary = statements.some(({ copy }) => copy?.direction === 'out' && copy.format === 'binary')
  if (!binary || target.detect.length === 0) return undefined
  const searched = target.detect.join(', ')
  const message = `COPY in binary is refused: target ${target.name} searches what leaves it (${searched}), and binary rows are not searched.`
  return refuse('denied', message, [{ do: 'change', hint: 'Use FORMAT text or csv.' }])
}
