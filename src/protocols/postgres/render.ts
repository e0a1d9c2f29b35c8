import { isUtf8 } from 'node:buffer'
import type { OperationId } from '../../gateway/domain.ts'
import { body, FrameReader, type Frame } from './frames.ts'
import { CLIENT_LIMITS, TARGET_LIMITS } from './limits.ts'
import { backendName, FRONTEND } from './message-types.ts'
import {
  decodeCommandComplete,
  decodeDataRow,
  decodeErrorFields,
  decodeFunctionCallResponse,
  decodeNotificationResponse,
  decodeRowDescription,
  type RowField,
} from './messages-target.ts'

/** Control characters other than tab, line feed and carriage return. */
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/

/** A recorded message as a person reads it. Binary values stand as `\x…`. */
type Rendered =
  | { readonly columns: readonly string[] }
  | { readonly row: readonly (string | null)[] }
  | { readonly tag: string }
  /** What a FunctionCall gave. */
  | { readonly result: string | null }
  | { readonly error: Readonly<Record<string, string>> }
  | { readonly notice: Readonly<Record<string, string>> }
  | { readonly notification: string }
  /** A CopyData: a row of a COPY, or as much of its input as came in one message. */
  | { readonly copied: string }
  | { readonly copy: 'done' | 'failed' }

/** Reads the recorded wire bytes of a session, answers and input, in the order they were recorded. */
export function renderer(): (
  bytes: Buffer,
  operation: OperationId | undefined,
  from: 'answer' | 'input',
) => readonly Rendered[] {
  let fields: readonly RowField[] = []
  return (bytes, _, from) =>
    new FrameReader(from === 'input' ? CLIENT_LIMITS : TARGET_LIMITS).push(bytes).flatMap((frame) => {
      if (frame.type === FRONTEND.CopyFail) return [{ copy: 'failed' as const }]
      if (backendName(frame.type) === 'RowDescription') fields = decodeRowDescription(frame)
      return render(frame, fields)
    })
}

function render(frame: Frame, fields: readonly RowField[]): readonly Rendered[] {
  switch (backendName(frame.type)) {
    case 'RowDescription':
      return [{ columns: fields.map(({ name }) => name) }]
    case 'DataRow':
      return [{ row: decodeDataRow(frame).map((value, place) => text(value, fields[place]?.format)) }]
    case 'FunctionCallResponse':
      return [{ result: text(decodeFunctionCallResponse(frame), undefined) }]
    case 'CommandComplete':
      return [{ tag: decodeCommandComplete(frame).tag }]
    case 'ErrorResponse':
      return [{ error: Object.fromEntries(decodeErrorFields(frame)) }]
    case 'NoticeResponse':
      return [{ notice: Object.fromEntries(decodeErrorFields(frame)) }]
    case 'CopyData':
      return [{ copied: text(body(frame), undefined)! }]
    case 'CopyDone':
      return [{ copy: 'done' }]
    case 'NotificationResponse':
      return [{ notification: decodeNotificationResponse(frame).payload }]
    default:
      return []
  }
}

/**
 * A description tells the format only when it is of the portal; that of a statement says text whatever Bind asked for. So
 * bytes that are no printable text are taken as binary.
 */
function text(value: Buffer | null, format: number | undefined): string | null {
  if (value === null) return null
  const read = value.toString('utf8')
  return format === 1 || !isUtf8(value) || UNPRINTABLE.test(read) ? `\\x${value.toString('hex')}` : read
}
