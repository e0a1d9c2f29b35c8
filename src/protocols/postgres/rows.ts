import { Fault } from '../../gateway/fault.ts'
import type { Masker } from '../../mask/masker.ts'
import { tellsByNull, type Hides, type Secrecy } from '../../sql/flow.ts'
import { detectorFor, searchesText } from './detection.ts'
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

/** `by`: a whole field, its length before its value. `replace` leaves a NULL as it is, `cover` does not. */
type ColumnPlan =
  | { readonly does: 'pass' }
  | { readonly does: 'replace' | 'cover'; readonly by: Buffer }
  | { readonly does: 'detect'; readonly detect: DetectIn }

/**
 * What happens to each column of a result. `passes`: nothing at all, so that of a row only its lengths are read.
 * `searches`: nothing but a search for what stands there as text, so that it is the same for rows without anything suspect.
 */
export type RowPlan = { readonly columns: readonly ColumnPlan[]; readonly passes: boolean; readonly searches: boolean }

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

/**
 * `fields` have the formats of the rows to come (`withFormats`). `hides`: what the statement was found to show that is
 * hidden, by place; where the target says that a column comes from a hidden one, it is hidden as well. A result of another
 * width than was expected is hidden whole.
 */
export function planRow(fields: readonly RowField[], classesOf: ClassesOf, masker: Masker, hides?: Hides): RowPlan {
  const unplaced = hides !== undefined && (hides === 'all' || hides.length !== fields.length)
  const columns = fields.map((field, place) =>
    planColumn(field, classesOf, masker, unplaced ? 'derived' : (hides?.[place] ?? null)),
  )
  const passes = columns.length > 0 && columns.every((column) => column.does === 'pass')
  const searches = fields.every(
    (field, place) => columns[place]!.does === 'pass' || searchesText(field.typeOid, field.format),
  )
  return { columns, passes, searches: searches && columns.every(({ does }) => does === 'pass' || does === 'detect') }
}

function planColumn(field: RowField, classesOf: ClassesOf, masker: Masker, secrecy: Secrecy | null): ColumnPlan {
  if (secrecy !== null || isHidden(field, classesOf, masker)) {
    const by = fieldOf(placeholder(field.typeOid, field.format))
    return { does: tellsByNull(secrecy) ? 'cover' : 'replace', by }
  }
  const detect = masker.detects ? detectorFor(field.typeOid, field.format) : undefined
  return detect ? { does: 'detect', detect } : { does: 'pass' }
}

/** A column that is no relation's (an expression) has no class: what it shows was found when the text was read. */
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
  if (plan.passes || (plan.searches && !masker.suspects(bytes))) return checked(bytes, plan.columns.length)
  const instead: (Buffer | undefined)[] = []
  let growth = 0
  let at = 7
  for (const column of plan.columns) {
    const length = valueLength(bytes, at)
    const end = at + 4 + Math.max(length, 0)
    const field = length < 0 && column.does !== 'cover' ? undefined : maskValue(column, bytes, at + 4, end, masker)
    if (field) growth += field.length - (end - at)
    instead.push(field)
    at = end
  }
  if (at !== bytes.length) throw malformed('bytes are left over')
  return instead.some((field) => field) ? rewritten(bytes, instead, growth) : bytes
}

/** The row with other fields where `instead` has some, `growth` bytes longer. */
function rewritten(bytes: Buffer, instead: readonly (Buffer | undefined)[], growth: number): Buffer {
  const row = Buffer.allocUnsafe(bytes.length + growth)
  let kept = 0
  let written = 0
  let at = 7
  for (const field of instead) {
    const end = at + 4 + Math.max(bytes.readInt32BE(at), 0)
    if (field) {
      written += bytes.copy(row, written, kept, at)
      written += field.copy(row, written)
      kept = end
    }
    at = end
  }
  bytes.copy(row, written, kept)
  row.writeUInt32BE(row.length - 1, 1)
  return row
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

/** The field to stand in for the value from `start` to `end`; undefined: as it is. */
function maskValue(column: ColumnPlan, bytes: Buffer, start: number, end: number, masker: Masker): Buffer | undefined {
  switch (column.does) {
    case 'pass':
      return undefined
    case 'replace':
    case 'cover':
      return column.by
    case 'detect': {
      const masked = column.detect(bytes.subarray(start, end), masker)
      return masked === undefined ? undefined : fieldOf(masked)
    }
    default:
      throw column satisfies never
  }
}

/** Length and value; null is SQL NULL. */
function fieldOf(value: Buffer | null): Buffer {
  const field = Buffer.alloc(4 + (value?.length ?? 0))
  field.writeInt32BE(value === null ? -1 : value.length)
  value?.copy(field, 4)
  return field
}

function malformed(why: string): Fault {
  return new Fault('protocol', `malformed DataRow: ${why}`)
}
