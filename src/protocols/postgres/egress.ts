import type { Outcome, Part } from '../../gateway/exchange.ts'
import type { Masker } from '../../mask/masker.ts'
import { encodeErrorResponse, encodeNoticeResponse } from './encode.ts'
import type { Frame } from './frames.ts'
import { decodeErrorFields, decodeRowDescription, type ErrorFields, type RowField } from './messages-target.ts'
import { backendName, type BackendName } from './message-types.ts'
import { maskDataRow, planRow, type ClassesOf, type RowPlan } from './rows.ts'

/** What the filter has to know of the session. */
export type Egress = {
  readonly classesOf: ClassesOf
  /** True once the session has touched a relation with a hidden column: error and notice texts may then carry values. */
  readonly withholdsTexts: () => boolean
}

/** Messages that carry nothing from the target's data. */
const BOOKKEEPING: ReadonlySet<BackendName> = new Set([
  'ParseComplete',
  'BindComplete',
  'CloseComplete',
  'ParameterDescription',
  'NoData',
  'PortalSuspended',
  'ReadyForQuery',
])

/** Fields that never carry a value: codes, places, and names of objects ("Error and Notice Message Fields"). */
const SAFE_FIELDS: ReadonlySet<string> = new Set(['S', 'V', 'C', 'P', 'F', 'L', 'R', 's', 't', 'c', 'd', 'n'])

/** The columns that the DataRows of an exchange have; replaced by each RowDescription that comes along. */
export type Columns = { fields: readonly RowField[]; plan?: RowPlan }

/** A batch of whole messages on its way to the client: every message a target can send passes through here. */
export class AnswerPart implements Part {
  readonly bookkeeping: boolean
  readonly outcome?: Outcome
  readonly #frames: readonly Frame[]
  readonly #columns: Columns
  readonly #egress: Egress

  constructor(frames: readonly Frame[], columns: Columns, egress: Egress, outcome?: Outcome) {
    this.#frames = frames
    this.#columns = columns
    this.#egress = egress
    this.outcome = outcome
    this.bookkeeping = frames.every(({ type }) => BOOKKEEPING.has(backendName(type)!))
  }

  mask(masker: Masker): Uint8Array {
    return Buffer.concat(this.#frames.map((frame) => this.#message(frame, masker)))
  }

  #message(frame: Frame, masker: Masker): Buffer {
    const name = backendName(frame.type)!
    switch (name) {
      case 'RowDescription':
        this.#columns.fields = decodeRowDescription(frame)
        this.#columns.plan = undefined
        return frame.bytes
      case 'DataRow':
        this.#columns.plan ??= planRow(this.#columns.fields, this.#egress.classesOf, masker)
        return maskDataRow(frame, this.#columns.plan, masker)
      case 'ErrorResponse':
        return encodeErrorResponse(maskTexts(decodeErrorFields(frame), this.#egress, masker))
      case 'NoticeResponse':
        return encodeNoticeResponse(maskTexts(decodeErrorFields(frame), this.#egress, masker))
      case 'NotificationResponse':
      case 'ParameterStatus':
      case 'CommandComplete':
        return maskWhole(frame, masker)
      default:
        return frame.bytes
    }
  }
}

/** Source files of PostgreSQL's parse analysis: an error from there was raised before any value was read. */
const PARSE_ANALYSIS = /^(?:parse_\w+\.c|scan\.l|gram\.y)$/

/** Raised by the statement's own text; a context (`W`) means a function was running, whose text may hold values. */
function isAboutText(fields: ErrorFields): boolean {
  return PARSE_ANALYSIS.test(fields.get('F') ?? '') && !fields.has('W')
}

/** A value can stand in an error's text (unique violations, failed casts): it is withheld, or searched by detectors. */
function maskTexts(fields: ErrorFields, egress: Egress, masker: Masker): Record<string, string> {
  const withheld = egress.withholdsTexts() && !isAboutText(fields)
  const kept: Record<string, string> = {}
  for (const [code, value] of fields) {
    if (SAFE_FIELDS.has(code)) kept[code] = value
    else if (!withheld) kept[code] = maskText(value, masker)
  }
  if (withheld)
    kept.M = `The target answered ${kept.C ?? 'an error'}; its text is withheld because it may show masked values.`
  return kept
}

function maskText(value: string, masker: Masker): string {
  const masked = masker.detects ? masker.text(Buffer.from(value, 'utf8')) : undefined
  return masked ? Buffer.from(masked).toString('utf8') : value
}

/** Messages of texts with fixed places: a detected value makes the body unreadable as such, so it is rebuilt whole. */
function maskWhole(frame: Frame, masker: Masker): Buffer {
  const masked = masker.detects ? masker.text(frame.bytes.subarray(5)) : undefined
  if (!masked) return frame.bytes
  const bytes = Buffer.alloc(5 + masked.length)
  bytes[0] = frame.type
  bytes.writeInt32BE(4 + masked.length, 1)
  bytes.set(masked, 5)
  return bytes
}
