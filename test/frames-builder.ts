/**
 * Builds PostgreSQL messages for tests, written apart from the code under test: numbers are laid out digit by digit, and
 * nothing is checked, so that malformed messages can be built too.
 */
export function u8(value: number): Buffer {
  return Buffer.from([value & 255])
}

export function u16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 255, value & 255])
}

export function u32(value: number): Buffer {
  return Buffer.from([24, 16, 8, 0].map((shift) => (value >> shift) & 255))
}

/** A string with its NUL. */
export function str(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

/** Int32 length and bytes; null is -1 and nothing. */
export function val(value: Buffer | string | null): Buffer {
  if (value === null) return Buffer.from('ffffffff', 'hex')
  const bytes = Buffer.from(value)
  return join(u32(bytes.length), bytes)
}

export function join(...pieces: readonly Buffer[]): Buffer {
  return Buffer.concat(pieces)
}

/** A whole message: the letter of its type, its length, its body. */
export function frame(letter: string, ...pieces: readonly Buffer[]): Buffer {
  const body = join(...pieces)
  return join(Buffer.from(letter), u32(4 + body.length), body)
}

/** A message without a type, as at the start of a connection. */
export function untyped(...pieces: readonly Buffer[]): Buffer {
  const body = join(...pieces)
  return join(u32(4 + body.length), body)
}

export function dataRow(...values: readonly (Buffer | string | null)[]): Buffer {
  return frame('D', u16(values.length), ...values.map(val))
}

export type FieldSpec = {
  readonly name?: string
  readonly table?: number
  readonly column?: number
  readonly type?: number
  readonly format?: number
}

export function rowDescription(...fields: readonly FieldSpec[]): Buffer {
  const pieces = fields.map((field) =>
    join(
      str(field.name ?? 'column'),
      u32(field.table ?? 0),
      u16(field.column ?? 0),
      u32(field.type ?? 25),
      u16(-1),
      u32(-1),
      u16(field.format ?? 0),
    ),
  )
  return frame('T', u16(fields.length), ...pieces)
}

export function error(fields: Readonly<Record<string, string>>, letter = 'E'): Buffer {
  const pieces = Object.entries(fields).map(([code, text]) => join(Buffer.from(code), str(text)))
  return frame(letter, ...pieces, u8(0))
}

export function ready(status: string): Buffer {
  return frame('Z', Buffer.from(status))
}
