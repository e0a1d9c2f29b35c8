import { dataRow, frame, rowDescription, str, u16 } from '../frames-builder.ts'
import { letterOf, type AnswerBook, type Answers } from './answer-book.ts'
import { answersToCopy } from './honest-copy.ts'

/** What an honest target answers to a text; `key` is of the portal it is asked of. */
export type Answering = (text: string, key: string) => Answers

export const NO_DATA = frame('n')
export const NO_PARAMETERS = frame('t', u16(0))
const ONE_COLUMN = rowDescription({ name: 'value' })
const ONE_ROW = dataRow('public')
const done = (tag: string): Buffer => frame('C', str(tag))
/** Texts whose answers are kept. */
const MOST_KEPT = 5_000

/** Answers as real targets gave them, and guesses for the other texts. */
export function answering(book: AnswerBook): Answering {
  const kept = new Map<string, Answers>()
  return (text, key) => {
    const place = key === text ? text : `${text}\0\0${key}`
    const found = kept.get(place) ?? completed(book.get(key) ?? book.get(text), guessAnswers(text))
    if (kept.size >= MOST_KEPT) kept.clear()
    kept.set(place, found)
    return found
  }
}

function completed(known: Answers | undefined, guess: Answers): Answers {
  if (!known) return guess
  const rows = either(known.rows, known.simple.filter(notDescription), guess.rows)
  const described = [known.portal, known.simple, known.statement].flat().find((one) => 'Tn'.includes(letterOf(one)))
  const portal = either(known.portal, [described ?? describing(rows)])
  return {
    simple: either(known.simple, [...portal.filter((one) => letterOf(one) === 'T'), ...rows]),
    statement: either(known.statement, [NO_PARAMETERS, ...portal]),
    portal,
    rows,
  }
}

const notDescription = (one: Buffer): boolean => letterOf(one) !== 'T'

/** The first list with something in it. */
function either(...lists: readonly (readonly Buffer[])[]): readonly Buffer[] {
  return lists.find((list) => list.length > 0) ?? []
}

/** As many text columns as the rows have. */
function describing(rows: readonly Buffer[]): Buffer {
  const row = rows.find((one) => letterOf(one) === 'D')
  if (!row) return NO_DATA
  return rowDescription(...Array.from({ length: row.readUInt16BE(5) }, () => ({ name: 'value' })))
}

/** To a text that no captured session has. */
function guessAnswers(text: string): Answers {
  const copies = answersToCopy(text, (part) => guessAnswers(part).simple)
  if (copies) return { simple: copies, statement: [NO_PARAMETERS, NO_DATA], portal: [NO_DATA], rows: copies }
  const word = /^\s*\(*(\w+)/.exec(text)?.[1]?.toUpperCase() ?? ''
  if (!['SELECT', 'WITH', 'VALUES', 'TABLE', 'SHOW', 'FETCH', 'EXECUTE', 'EXPLAIN'].includes(word)) {
    const tag = done(word === '' ? 'SELECT 0' : word)
    return { simple: [tag], statement: [NO_PARAMETERS, NO_DATA], portal: [NO_DATA], rows: [tag] }
  }
  const rows = [ONE_ROW, done('SELECT 1')]
  return { simple: [ONE_COLUMN, ...rows], statement: [NO_PARAMETERS, ONE_COLUMN], portal: [ONE_COLUMN], rows }
}
