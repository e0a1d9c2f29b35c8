import type { OperationId, SessionId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import type { Answered, Entry, InputTaken, StoredEntry } from './entry.ts'

/**
 * A protocol's reading of wire bytes, masked answers and input, as something that JSON can say. Called in the order of
 * the records.
 */
export type Render = (bytes: Buffer, operation: OperationId | undefined, from: 'answer' | 'input') => unknown

/** A piece of an answer as its protocol reads it. */
export type ReplayedAnswer = Omit<Answered, 'bytes'> & {
  /** What `render` made of the bytes; absent when they were not kept whole, or could not be read. */
  readonly answer?: unknown
  /** Why they could not be read, and the bytes (base64) themselves. */
  readonly unread?: { readonly why: string; readonly bytes: string }
}

/** A piece of an operation's input as its protocol reads it; `unread` as in an answer. */
export type ReplayedInput = Omit<InputTaken, 'bytes'> & Pick<ReplayedAnswer, 'unread'> & { readonly input?: unknown }

/** One thing that happened in a session, as `sallyport replay --json` prints it: the record without its place in the chain. */
export type ReplayStep = { readonly seq: number; readonly at: string } & (
  | Exclude<Entry, Answered | InputTaken>
  | ReplayedAnswer
  | ReplayedInput
)

/** Every record of the session in order: statements, decisions, votes, and masked answers as the client got them. */
export async function* replay(
  session: SessionId,
  entries: AsyncIterable<StoredEntry>,
  render: Render,
): AsyncGenerator<ReplayStep, void> {
  for await (const entry of entries) {
    if (!('session' in entry) || entry.session !== session) continue
    const { v: _v, hash: _hash, ...step } = entry
    yield step.type === 'answer' || step.type === 'input' ? readBytes(step, render) : step
  }
}

function readBytes(
  { bytes, ...step }: (Answered | InputTaken) & { seq: number; at: string },
  render: Render,
): ReplayStep {
  if (bytes === undefined) return step
  try {
    return { ...step, [step.type]: render(Buffer.from(bytes, 'base64'), step.operation, step.type) }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { ...step, unread: { why: error.message, bytes } }
  }
}
