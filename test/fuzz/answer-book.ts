import type { Captured } from './corpus.ts'

/** What a target answered to a text in a captured session, by what was asked of it. */
export type Answers = {
  /** To Query: all but ReadyForQuery. */
  readonly simple: readonly Buffer[]
  /** To Describe of the statement, of a portal, and to Execute. */
  readonly statement: readonly Buffer[]
  readonly portal: readonly Buffer[]
  readonly rows: readonly Buffer[]
}

export type AnswerBook = ReadonlyMap<string, Answers>

type Taken = { [K in keyof Answers]: Buffer[] }
type Asked = { readonly letter: string; readonly into?: Buffer[] }

const ASYNCHRONOUS = 'NAS'
/** What the last message of an answer looks like. */
const ENDS: Readonly<Record<string, string>> = { P: '1', B: '2', C: '3', D: 'Tn', E: 'CIs', Q: 'Z', S: 'Z' }

/** Which answers belong to which text; the first answer counts. */
export function answerBook(sessions: readonly Captured[]): AnswerBook {
  const book = new Map<string, Taken>()
  for (const session of sessions) readSession(session, book)
  return book
}

/** A portal whose results are asked for in binary has answers of its own. */
export function keyOf(text: string, bind?: Buffer): string {
  return bind && bind.readUInt16BE(bind.length - 2) === 1 ? `${text}\0binary` : text
}

export const letterOf = (frame: Buffer): string => String.fromCharCode(frame[0]!)

/** The strings at the start of a message's body; `skip` bytes before them are left out. */
export function stringsOf(frame: Buffer, skip = 0): readonly string[] {
  return frame.toString('utf8', 5 + skip).split('\0')
}

function readSession({ frames }: Captured, book: Map<string, Taken>): void {
  const statements = new Map<string, string>()
  const portals = new Map<string, string>()
  let asked: Asked[] = []
  for (const { from, bytes } of frames) {
    if (from === 'client') asked.push(...request(bytes, statements, portals, book))
    else asked = answered(bytes, asked)
  }
}

function request(
  bytes: Buffer,
  statements: Map<string, string>,
  portals: Map<string, string>,
  book: Map<string, Taken>,
): readonly Asked[] {
  const letter = letterOf(bytes)
  const [first = '', second = ''] = stringsOf(bytes)
  if (letter === 'P') statements.set(first, second)
  if (letter === 'B') portals.set(first, keyOf(statements.get(second) ?? '', bytes))
  if (letter === 'Q') return [{ letter, into: fresh(book, first)?.simple }]
  if (letter === 'E') return [{ letter, into: fresh(book, portals.get(first) ?? '')?.rows }]
  if (letter === 'D') {
    const [name = ''] = stringsOf(bytes, 1)
    const ofStatement = String.fromCharCode(bytes[5]!) === 'S'
    const text = (ofStatement ? statements : portals).get(name) ?? ''
    return [{ letter, into: fresh(book, text)?.[ofStatement ? 'statement' : 'portal'] }]
  }
  return letter in ENDS ? [{ letter }] : []
}

function answered(bytes: Buffer, asked: readonly Asked[]): Asked[] {
  const letter = letterOf(bytes)
  const [head, ...others] = asked
  if (!head || ASYNCHRONOUS.includes(letter)) return [...asked]
  if (letter !== 'Z') head.into?.push(bytes)
  if (letter === 'E' && head.letter !== 'Q')
    return asked.slice(
      Math.max(
        0,
        asked.findIndex((one) => one.letter === 'S'),
      ),
    )
  return ENDS[head.letter]!.includes(letter) ? others : [...asked]
}

/** The answers to a text, each of which may still be filled once. */
function fresh(book: Map<string, Taken>, text: string): Taken | undefined {
  const known = book.get(text) ?? { simple: [], statement: [], portal: [], rows: [] }
  book.set(text, known)
  const open = (list: Buffer[]): Buffer[] => (list.length === 0 ? list : [])
  return {
    simple: open(known.simple),
    statement: open(known.statement),
    portal: open(known.portal),
    rows: open(known.rows),
  }
}
