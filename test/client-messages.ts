import { frame, join, str, u16, u32, val } from './frames-builder.ts'

/** What a client sends, for tests: built with the independent builder, nothing checked. */
export const sync = frame('S')
export const flush = frame('H')
export const terminate = frame('X')

export const query = (text: string): Buffer => frame('Q', str(text))
export const parse = (text: string, name = ''): Buffer => frame('P', str(name), str(text), u16(0))
export const describeStatement = (name = ''): Buffer => frame('D', Buffer.from('S'), str(name))
export const describePortal = (name = ''): Buffer => frame('D', Buffer.from('P'), str(name))
export const close = (kind: 'S' | 'P', name = ''): Buffer => frame('C', Buffer.from(kind), str(name))
export const execute = (portal = '', maxRows = 0): Buffer => frame('E', str(portal), u32(maxRows))

export type BindSpec = {
  readonly portal?: string
  readonly statement?: string
  /** Sent as text. */
  readonly values?: readonly (string | null)[]
  /** Result formats: 1 is binary. */
  readonly formats?: readonly number[]
}

export function bind({ portal = '', statement = '', values = [], formats = [] }: BindSpec = {}): Buffer {
  const parameters = [u16(0), u16(values.length), ...values.map(val)]
  return frame('B', str(portal), str(statement), ...parameters, u16(formats.length), ...formats.map(u16))
}

/** Parse, Bind and Execute of one text, all unnamed. */
export const run = (text: string, values: readonly (string | null)[] = []): Buffer =>
  join(parse(text), bind({ values }), execute())

/** A FunctionCall with its arguments in binary; numbers are of 4 bytes. */
export function functionCall(routine: number, ...args: readonly (number | Buffer | null)[]): Buffer {
  const values = args.map((arg) => val(typeof arg === 'number' ? u32(arg) : arg))
  return frame('F', u32(routine), u16(1), u16(1), u16(args.length), ...values, u16(1))
}
