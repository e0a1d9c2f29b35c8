import type { Entry, InputTaken, OperationDecided } from '../../src/record/entry.ts'
import { bind, close, execute, parse, sync } from '../client-messages.ts'
import { letterOf, stringsOf } from './answer-book.ts'
import { calledBy } from './calls.ts'
import { RecordedAnswers } from './recorded-answers.ts'
import { isBlank, type Turn } from './honest-session.ts'
import { toTargetProblem } from './wire-rules.ts'

/**
 * What one session's target may get. Each message has to be well-formed and of a kind that is ever sent, and to stand
 * byte for byte, in order, among the messages that the client sent, unless it is one of the gateway's own; what
 * prepares or runs a text has to have, in order, a recorded allow of that text which nothing else has used; input has to
 * be, byte for byte and in order, what was recorded as the input of the allowed operation that takes it.
 */
export class Account {
  readonly problems: string[] = []
  /** Messages that the target got. */
  received = 0
  /** Messages that count as fuzz of the target's. */
  said = 0
  /** The target has said of a row, or of its columns, what is not so. */
  lied = false
  /** Of this life: whatever the target chooses comes from it. */
  seed = 0
  readonly answers = new RecordedAnswers()
  readonly #approved: Set<string>
  readonly #sent: Buffer[] = []
  readonly #allows: Allow[] = []
  /** The texts of all operations that were allowed to run, by their ids. */
  readonly #allowed = new Map<string, string>()
  /** Input that was recorded and has not come yet. */
  readonly #inputs: { readonly operation: string; bytes: Buffer }[] = []
  /** The recorded text of what the target ran last. */
  #running: string | undefined

  /** `approved`: ids of approvals that humans gave and nothing has used. */
  constructor(approved: Set<string> = new Set()) {
    this.#approved = approved
  }

  /** To be told before it is sent. */
  clientSends(frame: Buffer): void {
    this.#sent.push(frame)
  }

  recorded(entry: Entry): void {
    if (entry.type === 'answer') this.answers.recorded(entry)
    if (entry.type === 'input') this.#inputs.push({ operation: entry.operation, bytes: this.#input(entry) })
    if (entry.type !== 'operation' || entry.decision !== 'allow') return
    this.#allows.push(entry)
    if (entry.stage === 'execute') this.#allowed.set(entry.operation, entry.text)
  }

  /** `turn`: what the target made of it; without it the names in the message are not followed. */
  targetGot(frame: Buffer, turn: Turn | undefined): void {
    this.received++
    const problem = toTargetProblem(frame)
    if (problem !== undefined) this.problems.push(problem)
    const letter = letterOf(frame)
    if (frame.length <= LONGEST_OWN && OWN.has(frame.toString('latin1'))) return
    if (MAY_BE_OWN.includes(letter) && frame[5] !== 0x53) return
    if (!spend(this.#sent, (sent) => sent.equals(frame)))
      this.problems.push(`the client did not send ${letter} ${frame.toString('latin1', 5)}`)
    if (INPUT.includes(letter)) return this.#fed(frame, turn)
    const text = letter === 'Q' || letter === 'P' ? stringsOf(frame)[letter === 'P' ? 1 : 0]! : turn?.ran
    if (letter === 'F') return this.#called(frame)
    if (text === undefined || isBlank(text)) return
    const stage = letter === 'P' ? 'prepare' : 'execute'
    const allow = spend(this.#allows, (allow) => allow.stage === stage && covers(allow.text, text))
    if (!allow) this.problems.push(`no recorded allow for ${letter} ${text}`)
    if (stage === 'execute') this.#running = allow?.text
    if (allow) this.#permits(allow, text)
  }

  /** What the policy of the scene says of a text, whatever was recorded. */
  #permits({ stage, text, approval }: Allow, sent: string): void {
    if (DENIED.test(sent)) this.problems.push(`it is denied, and was allowed: ${sent}`)
    if (stage === 'prepare' || !HELD.test(text)) return
    if (approval === undefined || !this.#approved.delete(approval.id)) this.problems.push(`no approval: ${text}`)
  }

  #called(frame: Buffer): void {
    const begins = calledBy(frame)
    if (!spend(this.#allows, ({ text }) => text.startsWith(begins))) this.problems.push(`no recorded allow: ${begins}`)
  }

  /** What an entry says went to the target. */
  #input({ operation, size, bytes }: Input): Buffer {
    const kept = Buffer.from(bytes ?? '', 'base64')
    if (kept.length !== size) this.problems.push(`input of ${size} bytes was kept as ${kept.length}`)
    if (!this.#allowed.has(operation)) this.problems.push(`input for ${operation}, which was not allowed to run`)
    return kept
  }

  #fed(frame: Buffer, turn: Turn | undefined): void {
    const said = `${letterOf(frame)} ${frame.toString('latin1', 5)}`
    const [next] = this.#inputs
    if (turn && !turn.takesInput) this.problems.push(`input though no COPY is open: ${said}`)
    if (!next?.bytes.subarray(0, frame.length).equals(frame)) {
      this.problems.push(`no recorded input that is ${said}`)
      return
    }
    if (turn && this.#allowed.get(next.operation) !== this.#running)
      this.problems.push(`input of another operation: ${said}`)
    next.bytes = next.bytes.subarray(frame.length)
    if (next.bytes.length === 0) this.#inputs.shift()
  }
}

type Allow = Pick<OperationDecided, 'operation' | 'stage' | 'text' | 'approval'>
type Input = Pick<InputTaken, 'operation' | 'size' | 'bytes'>

const INPUT = 'dcf'
const DENIED = /(?:^|;)\s*delete\s+from\s/i
const HELD = /(?:^|;)\s*update\s/i

/** Describe of a portal, Flush and Sync are also sent by the gateway itself. */
const MAY_BE_OWN = 'DHS'
const OWN_NAME = 'sallyport_own'
const OWN_TEXT = 'SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))'
const OWN: ReadonlySet<string> = new Set(
  [
    parse(OWN_TEXT, OWN_NAME),
    bind({ portal: OWN_NAME, statement: OWN_NAME }),
    execute(OWN_NAME),
    close('P', OWN_NAME),
    close('S', OWN_NAME),
    sync,
    parse('sallyport refused this operation', 'sallyport_refused'),
  ].map((frame) => frame.toString('latin1')),
)

const LONGEST_OWN = Math.max(...Array.from(OWN, (own) => own.length))

/** The first that fits, used up; what stands before it has been passed over for good: order counts. */
function spend<T>(list: T[], fits: (one: T) => boolean): T | undefined {
  const place = list.findIndex(fits)
  return place < 0 ? undefined : list.splice(0, place + 1).at(-1)
}

/** A record names what an EXECUTE runs behind its text. */
function covers(recorded: string, text: string): boolean {
  return recorded === text || recorded.startsWith(`${text}\n-- runs: `)
}

/** The accounts of all sessions, by what identifies them on either side. */
export class Ledger {
  /** Of who may never get a session, no more is kept than the seed. */
  readonly #byClient = new Map<string, Account | number>()
  readonly #bySession = new Map<string, Account>()
  readonly #counts = new Map<Entry['type'], number>()
  readonly problems: string[] = []
  readonly #approved = new Set<string>()

  /** A human has said yes, for one time. */
  approved(id: string): void {
    this.#approved.add(id)
  }

  /** `address`: of the client, as the gateway sees it. */
  open(address: string): Account {
    const account = new Account(this.#approved)
    this.#byClient.set(address, account)
    return account
  }

  /** Like `open`, for a client that may get no session. */
  expect(address: string, seed: number): void {
    this.#byClient.set(address, seed)
  }

  recorded(entry: Entry): void {
    this.#counts.set(entry.type, this.count(entry.type) + 1)
    if (!('session' in entry) || entry.session === undefined) return
    if (entry.type === 'session.opened') this.#join(entry.session, entry.client)
    if (entry.type === 'session.closed') this.#close(entry.session)
    else this.#bySession.get(entry.session)?.recorded(entry)
  }

  /** `application`: of the connection to the target; its last word is the session's id. */
  ofTarget(application: string): Account | undefined {
    return this.#bySession.get(application.split(' ').at(-1)!)
  }

  count(type: Entry['type']): number {
    return this.#counts.get(type) ?? 0
  }

  #join(session: string, client: string): void {
    const known = this.#byClient.get(client)
    this.#byClient.delete(client)
    if (known === undefined) return void this.problems.push(`a session for ${client}, who asked for none`)
    const account = typeof known === 'number' ? new Account(this.#approved) : known
    if (typeof known === 'number') account.seed = known
    this.#bySession.set(session, account).set(asApplication(session), account)
  }

  #close(session: string): void {
    this.#bySession.delete(session)
    this.#bySession.delete(asApplication(session))
  }
}

function asApplication(session: string): string {
  return session.slice('ses_'.length).replaceAll('-', '')
}
