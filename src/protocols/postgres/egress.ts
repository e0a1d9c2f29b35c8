import type { Outcome, Part } from '../../gateway/exchange.ts'
import type { Masker } from '../../mask/masker.ts'
import type { Hides } from '../../sql/flow.ts'
import type { CopyForm } from '../../sql/reader.ts'
import { Fault } from '../../gateway/fault.ts'
import { CopyOut } from './copy-out.ts'
import { fieldsOf, type Described, type Plans } from './descriptions.ts'
import { encodeErrorResponse, encodeNoticeResponse, encodeNotificationResponse } from './encode.ts'
import type { Frame } from './frames.ts'
import {
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorFields,
  decodeNotificationResponse,
  decodeParameterDescription,
  decodeParameterStatus,
  type ErrorFields,
  type RowField,
} from './messages-target.ts'
import { backendName, type BackendName } from './message-types.ts'
import { maskResult } from './function-results.ts'
import { joined } from './pieces.ts'
import { maskDataRow, planRow, type ClassesOf, type RowPlan } from './rows.ts'

/** What the filter has to know of the session. */
export type Egress = {
  readonly classesOf: ClassesOf
  readonly plans: Pick<Plans, 'of'>
  /** True when texts may show what is hidden from the session: triggers, constraints and cascades put values there. */
  readonly withholdsTexts: boolean
  /** True when anything is hidden: a notification comes from another session, whatever this one is doing. */
  readonly withholdsPayloads: boolean
  /** The target's own last word goes to the client: it needs no other. */
  readonly ending?: () => void
}

/** Messages that carry nothing from the target's data. */
const BOOKKEEPING: ReadonlySet<BackendName> = new Set([
  'ParseComplete',
  'BindComplete',
  'CloseComplete',
  'ParameterDescription',
  'NoData',
  'PortalSuspended',
  'CopyInResponse',
  'CopyOutResponse',
  'CopyDone',
  'ReadyForQuery',
])

/** What may come between CopyOutResponse and CopyDone ("COPY Operations"). */
const WITHIN_COPY: ReadonlySet<BackendName> = new Set([
  'CopyData',
  'CopyDone',
  'ErrorResponse',
  'NoticeResponse',
  'ParameterStatus',
  'NotificationResponse',
])

/**
 * Fields that never carry a value, and what they look like: severity (in the server's language), SQLSTATE, places ("Error
 * and Notice Message Fields").
 */
const SAFE_FIELDS: Readonly<Record<string, RegExp>> = {
  S: /^[\p{L}\p{M} ]{1,40}$/u,
  V: /^[A-Z]{1,20}\d?$/,
  C: /^[0-9A-Z]{5}$/,
  P: /^\d{1,10}$/,
  F: /^[\w./+-]{1,200}$/,
  L: /^\d{1,10}$/,
  R: /^\w{1,100}$/,
}
/** Names of objects: schema, table, column, type, constraint. A function can put anything there (RAISE … USING TABLE). */
const NAME_FIELDS: ReadonlySet<string> = new Set(['s', 't', 'c', 'd', 'n'])

/** Severities behind which the target closes the connection ("Error and Notice Message Fields"). */
const LAST_WORDS = /^(FATAL|PANIC)$/

/** The columns that the DataRows of an exchange have. */
export type Columns = {
  fields?: readonly RowField[]
  plan?: RowPlan
  /** True for a Query, where each RowDescription is that of the rows behind it; elsewhere it may be of anything. */
  readonly inline: boolean
  /** Of the statement. */
  readonly described: Described
  /** What is hidden in the rows of each statement, and which of them is answered now. */
  readonly hides: readonly (Hides | undefined)[]
  statement: number
  /** The COPYs to the client that are still to come, in order. */
  readonly copies: CopyForm[]
  /** The one whose rows come now. */
  copy?: CopyOut
}

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
    return joined(this.#frames.map((frame) => this.#message(frame, masker)))
  }

  #message(frame: Frame, masker: Masker): Buffer {
    const name = backendName(frame.type)!
    if (this.#columns.copy) this.#copyAllows(name)
    switch (name) {
      case 'RowDescription':
        this.#describe(fieldsOf(this.#columns.described, frame))
        return frame.bytes
      case 'DataRow':
        this.#columns.plan ??= this.#plan(masker)
        return maskDataRow(frame, this.#columns.plan, masker)
      case 'FunctionCallResponse':
        return maskResult(frame, masker)
      case 'CopyInResponse':
        decodeCopyResponse(frame)
        return frame.bytes
      case 'CopyOutResponse':
        this.#columns.copy = new CopyOut(this.#columns.copies.shift(), frame)
        return frame.bytes
      case 'CopyData':
        return this.#copy().data(frame, masker)
      case 'CopyDone':
        return this.#endCopy(frame, masker)
      case 'ErrorResponse':
        return this.#error(decodeErrorFields(frame), masker)
      case 'NoticeResponse':
        return encodeNoticeResponse(maskTexts(decodeErrorFields(frame), this.#egress, masker))
      case 'NotificationResponse':
        return notification(frame, this.#egress.withholdsPayloads, masker)
      case 'ParameterDescription':
        decodeParameterDescription(frame)
        return frame.bytes
      case 'ParameterStatus':
        decodeParameterStatus(frame)
        return maskWhole(frame, masker)
      case 'CommandComplete':
        decodeCommandComplete(frame)
        this.#columns.statement++
        return maskWhole(frame, masker)
      default:
        return frame.bytes
    }
  }

  #error(fields: ErrorFields, masker: Masker): Buffer {
    if (LAST_WORDS.test(fields.get('V') ?? '')) this.#egress.ending?.()
    return encodeErrorResponse(maskTexts(fields, this.#egress, masker))
  }

  #plan(masker: Masker): RowPlan {
    const fields = this.#fields()
    const hides = this.#columns.hides[this.#columns.statement]
    const { plans, classesOf } = this.#egress
    return plans.of(fields, hides, () => planRow(fields, classesOf, masker, hides))
  }

  #describe(fields: readonly RowField[]): void {
    if (!this.#columns.inline) return
    this.#columns.fields = fields
    this.#columns.plan = undefined
  }

  #copy(): CopyOut {
    if (!this.#columns.copy) throw new Fault('protocol', 'the target sent rows of a COPY that it has not begun')
    return this.#columns.copy
  }

  /** An error ends the COPY, and what waited for the end of its row. */
  #copyAllows(name: BackendName): void {
    if (!WITHIN_COPY.has(name)) throw new Fault('protocol', `the target sent ${name} among the rows of a COPY`)
    if (name === 'ErrorResponse') this.#columns.copy = undefined
  }

  #endCopy(frame: Frame, masker: Masker): Buffer {
    const rest = this.#copy().end(masker)
    this.#columns.copy = undefined
    return joined([rest, frame.bytes])
  }

  #fields(): readonly RowField[] {
    if (!this.#columns.fields) throw new Fault('protocol', 'the target sent rows that it has not described')
    return this.#columns.fields
  }
}

/** Source files of PostgreSQL whose texts are about names and states: parse analysis, rights, transactions, portals. */
const WITHOUT_VALUES =
  /^(?:parse_\w+\.c|scan\.l|gram\.y|namespace\.c|aclchk\.c|postgres\.c|xact\.c|prepare\.c|portalcmds\.c|portalmem\.c)$/

/** A context (`W`) means a function was running, and its text may hold values whatever the file. */
function isWithoutValues(fields: ErrorFields): boolean {
  return WITHOUT_VALUES.test(fields.get('F') ?? '') && !fields.has('W')
}

/** A value can stand in an error's text (unique violations, failed casts): it is withheld, or searched by detectors. */
function maskTexts(fields: ErrorFields, egress: Egress, masker: Masker): Record<string, string> {
  const withheld = egress.withholdsTexts && !isWithoutValues(fields)
  const kept: Record<string, string> = {}
  for (const [code, value] of fields) {
    if (SAFE_FIELDS[code]?.test(value)) kept[code] = value
    else if (!withheld || (NAME_FIELDS.has(code) && !fields.has('W'))) kept[code] = maskText(value, masker)
  }
  if (withheld) kept.M = withheldText(kept)
  return kept
}

/** What can be said of an error without its text: its code, and the names of what it is about. */
function withheldText({
  C: code = 'an error',
  s: schema,
  t: table,
  c: column,
  n: constraint,
}: Record<string, string>): string {
  const about = [
    constraint && `constraint ${constraint}`,
    table && `table ${[schema, table].filter(Boolean).join('.')}`,
    column && `column ${column}`,
  ].filter(Boolean)
  const place = about.length > 0 ? ` (${about.join(', ')})` : ''
  return `The target answered ${code}${place}; its text is withheld because it may show masked values.`
}

/** A trigger can notify with a row's values: withheld, the listener learns that something happened, not what. */
function notification(frame: Frame, withheld: boolean, masker: Masker): Buffer {
  const { pid, channel } = decodeNotificationResponse(frame)
  return withheld ? encodeNotificationResponse(pid, channel, '***') : maskWhole(frame, masker, 9)
}

function maskText(value: string, masker: Masker): string {
  const masked = masker.detects ? masker.text(Buffer.from(value, 'utf8')) : undefined
  return masked ? Buffer.from(masked).toString('utf8') : value
}

/** Messages that are texts from the place `texts` on: where a value is found in them they are rebuilt. */
function maskWhole(frame: Frame, masker: Masker, texts = 5): Buffer {
  const masked = masker.detects ? masker.text(frame.bytes.subarray(texts)) : undefined
  if (!masked) return frame.bytes
  const bytes = Buffer.concat([frame.bytes.subarray(0, texts), masked])
  bytes.writeInt32BE(bytes.length - 1, 1)
  return bytes
}
