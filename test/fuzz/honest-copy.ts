import { frame, str, u16, u8 } from '../frames-builder.ts'

/** A CopyData with this in it makes the COPY fail at once, as a row with too few columns does at a real target. */
export const MALFORMED_ROW = 'data'

const COPY = /^\s*copy\b.*?\b(from\s+stdin|to\s+stdout)\b/is
const HIDDEN = /\b(?:email|phone)\b|(?:\*\s+from\s+|copy\s+)customers\s*(?:to\b|\))/i

const FORMATS = [u8(0), u16(2), u16(0), u16(0)] as const
/** One of its values is an address that only a detector can know, and stands in two messages. */
const ROWS = ['900\tmail ada@exam', 'ple.com now\n', '901\t\\N\n']
const HIDDEN_ROWS = ['900\tHUSH-0001-HUSH\n', '901\tada@example.com\n']

/** To a text that has a COPY over the connection in it, statement by statement; undefined without one. */
export function answersToCopy(
  text: string,
  other: (statement: string) => readonly Buffer[],
): readonly Buffer[] | undefined {
  const statements = text.split(';').filter((statement) => statement.trim() !== '')
  if (!statements.some((statement) => COPY.test(statement))) return undefined
  return statements.flatMap((statement) => answersToOne(statement) ?? other(statement))
}

function answersToOne(statement: string): readonly Buffer[] | undefined {
  const [, direction] = COPY.exec(statement) ?? []
  if (direction === undefined) return undefined
  const done = frame('C', str('COPY 2'))
  if (/^from/i.test(direction)) return [frame('G', ...FORMATS), done]
  const rows = HIDDEN.test(statement) ? HIDDEN_ROWS : ROWS
  return [frame('H', ...FORMATS), ...rows.map((row) => frame('d', Buffer.from(row))), frame('c'), done]
}
