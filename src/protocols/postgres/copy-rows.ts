import type { Masker } from '../../mask/masker.ts'
import type { CopyForm } from '../../sql/reader.ts'

/** How PostgreSQL writes rows as text ("COPY", File Formats: Text Format, CSV Format). */

const NEWLINE = 0x0a
const BACKSLASH = 0x5c
/** Letters behind a backslash in the text format, and what they stand for. */
const ESCAPES: ReadonlyMap<number, number> = new Map(
  Object.entries({ b: 0x08, f: 0x0c, n: NEWLINE, r: 0x0d, t: 0x09, v: 0x0b }).map(([letter, byte]) => [
    letter.charCodeAt(0),
    byte,
  ]),
)
const LETTERS: ReadonlyMap<number, number> = new Map([...ESCAPES].map(([letter, byte]) => [byte, letter]))

/** Where the last whole row in `data` ends; 0 when there is none. `data` begins with a row. */
export function wholeRows(data: Buffer, form: CopyForm): number {
  // In the text format a newline inside of a value is written as \n.
  if (form.format === 'text') return data.lastIndexOf(NEWLINE) + 1
  let end = 0
  for (let at = 0; at < data.length;) {
    at = endOfField(data, at, form) + 1
    if (data[at - 1] === NEWLINE) end = at
  }
  return end
}

/** The same rows with each value searched by itself; undefined when nothing was found. */
export function maskRows(rows: Buffer, form: CopyForm, masker: Masker): Buffer | undefined {
  const pieces: Buffer[] = []
  let kept = 0
  for (let at = 0; at < rows.length;) {
    const end = endOfField(rows, at, form)
    const masked = maskField(rows.subarray(at, end), form, masker)
    if (masked !== undefined) {
      pieces.push(rows.subarray(kept, at), masked)
      kept = end
    }
    at = end + 1
  }
  return kept === 0 ? undefined : Buffer.concat([...pieces, rows.subarray(kept)])
}

/** The place of the delimiter or newline behind the field that begins at `start`, or the end of the data. */
function endOfField(data: Buffer, start: number, form: CopyForm): number {
  return form.format === 'csv' ? endOfCsv(data, start, form) : endOfText(data, start, form.delimiter.charCodeAt(0))
}

function endOfText(data: Buffer, start: number, delimiter: number): number {
  for (let at = start; at < data.length; at++) {
    const byte = data[at]
    if (byte === BACKSLASH) at++
    else if (byte === delimiter || byte === NEWLINE) return at
  }
  return data.length
}

function endOfCsv(data: Buffer, start: number, form: CopyForm): number {
  const [delimiter, quote, escape] = csvBytes(form)
  let quoted = false
  for (let at = start; at < data.length; at++) {
    const byte = data[at]
    if (quoted && byte === escape && (data[at + 1] === quote || data[at + 1] === escape)) at++
    else if (byte === quote) quoted = !quoted
    else if (!quoted && (byte === delimiter || byte === NEWLINE)) return at
  }
  return data.length
}

function csvBytes({ delimiter, quote, escape }: CopyForm): readonly [number, number, number] {
  return [delimiter.charCodeAt(0), quote.charCodeAt(0), escape.charCodeAt(0)]
}

/** Undefined: as it is. */
function maskField(field: Buffer, form: CopyForm, masker: Masker): Buffer | undefined {
  const masked = masker.text(form.format === 'csv' ? csvValue(field, form) : textValue(field))
  if (masked === undefined) return undefined
  return form.format === 'csv' ? asCsv(masked, form) : asText(masked, form.delimiter.charCodeAt(0))
}

/** PostgreSQL writes no other escapes than these. */
function textValue(field: Buffer): Buffer {
  if (!field.includes(BACKSLASH)) return field
  const value = Buffer.allocUnsafe(field.length)
  let end = 0
  for (let at = 0; at < field.length; at++) {
    const byte = field[at]!
    if (byte !== BACKSLASH || at + 1 === field.length) value[end++] = byte
    else value[end++] = ESCAPES.get(field[++at]!) ?? field[at]!
  }
  return value.subarray(0, end)
}

function csvValue(field: Buffer, form: CopyForm): Buffer {
  const [, quote, escape] = csvBytes(form)
  if (field[0] !== quote) return field
  const value = Buffer.allocUnsafe(field.length)
  let end = 0
  for (let at = 1; at < field.length; at++) {
    const byte = field[at]!
    const next = field[at + 1]
    if (byte === escape && (next === quote || next === escape)) value[end++] = field[++at]!
    else if (byte !== quote) value[end++] = byte
  }
  return value.subarray(0, end)
}

function asText(value: Uint8Array, delimiter: number): Buffer {
  const field = Buffer.allocUnsafe(2 * value.length)
  let end = 0
  for (const byte of value) {
    const letter = LETTERS.get(byte)
    if (letter !== undefined || byte === BACKSLASH || byte === delimiter) field[end++] = BACKSLASH
    field[end++] = letter ?? byte
  }
  return field.subarray(0, end)
}

/** Always in quotes: the stars may be what separates fields. */
function asCsv(value: Uint8Array, form: CopyForm): Buffer {
  const [, quote, escape] = csvBytes(form)
  const field = Buffer.allocUnsafe(2 * value.length + 2)
  let end = 0
  field[end++] = quote
  for (const byte of value) {
    if (byte === quote || byte === escape) field[end++] = escape
    field[end++] = byte
  }
  field[end++] = quote
  return field.subarray(0, end)
}
