import type { FakeClient, FakeScript } from '../../src/protocols/postgres/fake.ts'
import type { Frame } from '../../src/protocols/postgres/frames.ts'
import { dataRow, error, frame, ready, rowDescription, str, u16 } from '../frames-builder.ts'
import { CUSTOMERS } from './postgres-scene.ts'

/** What a fake target answers to a Query, or to the Execute of a Parse, of this text. */
export type Answer = (text: string, client: FakeClient) => readonly Buffer[] | undefined

/** The columns of every answer: a masked one, and one that is not. */
export const COLUMNS = rowDescription(
  { name: 'email', table: CUSTOMERS, column: 2 },
  { name: 'name', table: CUSTOMERS, column: 3 },
)
export const ROW = dataRow('ada@example.com', 'Ada')
export const done = (tag: string): Buffer => frame('C', str(tag))

type State = { text: string; skipping: boolean }

/**
 * A target that keeps to the protocol: one row, or what `answer` says instead. It fails what is no SQL, skips up to
 * Sync, and is never in a transaction.
 */
export function honestTarget(answer: Answer = () => undefined): FakeScript['answer'] {
  const states = new WeakMap<FakeClient, State>()
  return (message, client) => {
    const state = states.get(client) ?? { text: '', skipping: false }
    states.set(client, state)
    const letter = String.fromCharCode(message.type)
    if (letter === 'S') state.skipping = false
    if (!state.skipping) client.send(...answerTo(letter, message, state, (text) => answer(text, client)))
  }
}

type OfText = (text: string) => readonly Buffer[] | undefined

function answerTo(letter: string, message: Frame, state: State, answer: OfText): readonly Buffer[] {
  switch (letter) {
    case 'Q': {
      const text = message.bytes.toString('utf8', 5, message.bytes.length - 1)
      return answer(text) ?? [COLUMNS, ROW, done('SELECT 1'), ready('I')]
    }
    case 'P':
      state.text = message.bytes.toString('utf8', 5).split('\0')[1]!
      state.skipping = state.text.startsWith('sallyport refused')
      return [state.skipping ? error({ S: 'ERROR', C: '42601', M: 'syntax error' }) : frame('1')]
    case 'D':
      return String.fromCharCode(message.bytes[5]!) === 'S' ? [frame('t', u16(0)), COLUMNS] : [COLUMNS]
    case 'E':
      return isOwn(state.text) ? [dataRow('public'), done('SELECT 1')] : (answer(state.text) ?? [ROW, done('SELECT 1')])
    case 'B':
      return [frame('2')]
    case 'C':
      return [frame('3')]
    case 'S':
      return [ready('I')]
    default:
      return []
  }
}

/** What the gateway asks for itself when a session starts. */
export const isOwn = (text: string): boolean => text.includes('current_schemas')
