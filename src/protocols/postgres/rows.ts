import { Fault } from '../../gateway/fault.ts'
import type { Masker } from '../../mask/masker.ts'
import { detectorFor } from './detection.ts'
import type { DetectIn } from './detection.ts'
import type { Frame } from './frames.ts'
import type { Format } from './messages-client.ts'
import type { RowField } from './messages-target.ts'
import { placeholder } from './placeholders.ts'

/**
 * The data classes of a relation's column; undefined when the relation or column is not known, so that its values are
 * hidden whatever they are. A `columnNumber` of 0 is the whole row, a negative one a system column.
 */
export type ClassesOf = (tableOid: number, columnNumber: number) => readonly string[] | undefined

type ColumnPlan =
  | { readonly does: 'pass' }
  | { readonly does: 'replace'; readonly by: Buffer | null }
  | { readonly does: 'detect'; readonly detect: DetectIn }

/** What happens to each column of a result. `passes`: nothing at all, so that of a row only its lengths are read. */
export type RowPlan = { readonly columns: readonly ColumnPlan[]; readonly passes: boolean }

/**
 * The fields with the formats their values will have: those of RowDescription are unknown when it answers a Describe of
 * a statement. `formats` as in Bind: none (all text), one for all, or one for each; else Fault `protocol`.
 */
export function withFormats(fields: readonly RowField[], formats: readonly Format[]): readonly RowField[] {
  if (formats.length > 1 && formats.length !== fields.length)
    throw new Fault('protocol', `${formats.length} result formats for ${fields.length} columns`)
  const first = formats[0] ?? 0
  return fields.map((field, index) => ({ ...field, format: formats.length > 1 ? formats[index]! : first }))
}

/** `fields` have the formats of the rows to come (`withFormats`). */
export function planRow(fields: readonly RowField[], classesOf: ClassesOf, masker: Masker): RowPlan {
  const columns = fields.map((field) => planColumn(field, classesOf, masker))
  return { columns, passes: columns.length > 0 && columns.every((column) => column.does === 'pass') }
}

function planColumn(field: RowField, classesOf: ClassesOf, masker: Masker): ColumnPlan {
  if (isHidden(field, classesOf, masker)) return { does: 'replace', by: placeholder(field.typeOid, field.format) }
  const detect = masker.detects ? detectorFor(field.typeOid, field.format) : undefined
  return detect ? { does: 'detect', detect } : { does: 'pass' }
}

/** A column that is no relation's (an expression) has no class; what it may show is decided when the text is read. */
function isHidden(field: RowField, classesOf: ClassesOf, masker: Masker): boolean {
  if (field.tableOid === 0) return false
  const classes = classesOf(field.tableOid, field.columnNumber)
  return classes === undefined || masker.hides(classes)
}

/**
 * The DataRow as the client may see it: the very same bytes when nothing changes. NULL stays NULL. A row that does not
 * match the plan or its own lengths throws Fault `protocol`.
 */
export function maskDataRow(frame: Frame, plan: RowPlan, masker: Masker): Buffer {
  const { bytes } = frame
  if (bytes.length < 7 || bytes.readUInt16BE(5) !== plan.columns.length)
    throw malformed(`it has not the ${plan.columns.length} columns described`)
  if (plan.passes) return checked(bytes, plan.columns.length)
  const pieces: Buffer[] = []
  let kept = 0
  let at = 7
  for (const column of plan.columns) {
    const length = valueLength(bytes, at)
    const end = at + 4 + Math.max(length, 0)
    const masked = length < 0 ? undefined : maskValue(column, bytes.subarray(at + 4, end), masker)
    if (masked !== undefined) {
      pieces.push(bytes.subarray(kept, at), ...lengthAndValue(masked))
      kept = end
    }
    at = end
  }
  if (at !== bytes.length) throw malformed('bytes are left over')
  return kept === 0 ? bytes : assemble([...pieces, bytes.subarray(kept)])
}

/** The row, once its values fill it exactly. */
function checked(bytes: Buffer, columns: number): Buffer {
  let at = 7
  for (let left = columns; left > 0; left--) at += 4 + Math.max(valueLength(bytes, at), 0)
  if (at !== bytes.length) throw malformed('bytes are left over')
  return bytes
}

/** The length that stands at `at`; -1 for NULL. */
function valueLength(bytes: Buffer, at: number): number {
  if (bytes.length - at < 4) throw malformed('it ends too early')
  const length = bytes.readInt32BE(at)
  if (length < -1 || length > bytes.length - at - 4) throw malformed(`a value of ${length} bytes`)
  return length
}

/** Undefined: as it is. Null: SQL NULL. */
function maskValue(column: ColumnPlan, value: Buffer, masker: Masker): Buffer | null | undefined {
  switch (column.does) {
    case 'pass':
      return undefined
    case 'replace':
      return column.by
    case 'detect':
      return column.detect(value, masker)
    default:
      throw column satisfies never
  }
}

function lengthAndValue(value: Buffer | null): Buffer[] {
  const length = Buffer.alloc(4)
  length.writeInt32BE(value === null ? -1 : value.length)
  return value === null ? [length] : [length, value]
}

/** The pieces of a message as one, with its length set anew. */
function assemble(pieces: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(pieces)
  bytes.writeUInt32BE(bytes.length - 1, 1)
  return bytes
}

function malformed(why: string): Fault {
  return new Fault('protocol', `malformed DataRow: ${why}`)
}
