import { letterOf } from './answer-book.ts'
import type { Login } from './login.ts'
import { COPYING, Reading } from './reading.ts'
import { backendProblem } from './wire-rules.ts'

const ASYNCHRONOUS = 'NAS'
/** A client is told so of what it has withdrawn itself. */
const CANCELLED = 'Cancelled while waiting'
/** It quotes the client's own text. */
const SYNTAX_ERROR = '\0C42601\0'
/** Of rows, so much is looked at again with the next message: no secret is longer. */
const SEARCHED_AGAIN = 64

/**
 * What one client hears after the start: each message has to be well-formed, to answer what the client sent ("Message
 * Flow"), and to show none of the secrets. Written apart from the gateway's own matching of answers.
 */
export class Heard {
  readonly problems: string[] = []
  messages = 0
  /** True once the start is over; before that, messages of the start may come. */
  started = false
  /** Called for everything heard: false once the target has said of a secret that it is something else. */
  secretsHold = (): boolean => true
  /** What it asked for when it started. */
  login: Login | undefined
  /** Process id and key, as the client was given them. */
  key: Buffer = Buffer.alloc(0)
  /** It has asked for that, by its own key. */
  mayBeCancelled = false
  /** Why the client cannot have a message yet. */
  early: (frame: Buffer) => string | undefined = () => undefined
  /** The target says the truth about its transaction. */
  statusHolds = false
  /** Something has failed since the last ReadyForQuery. */
  #failed = false
  readonly #secrets: readonly Buffer[]
  /** Those that the client has sent itself. */
  readonly #said = new Set<Buffer>()
  #left: Buffer = Buffer.alloc(0)
  #over = false
  /** Everything that the conversation can have been so far. */
  #readings: readonly Reading[] = [new Reading()]
  #rows: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((secret) => Buffer.from(secret))
  }

  /** The client sends this. */
  says(bytes: Buffer): void {
    for (const secret of this.#secrets) if (bytes.includes(secret)) this.#said.add(secret)
  }

  /** True when everything that was asked can have its answer. */
  get answered(): boolean {
    return this.#readings.some(({ answered }) => answered)
  }

  /** True while it can be the client's turn: a COPY takes input. */
  get takesInput(): boolean {
    return this.#readings.some(({ takesInput }) => takesInput)
  }

  /** To be told of every well-formed message before it is sent. */
  clientSends(frame: Buffer): void {
    const letter = letterOf(frame)
    const copying = letter === 'Q' && /copy/i.test(frame.toString('latin1'))
    for (const reading of this.#readings) reading.sent(copying ? COPYING : letter)
  }

  take(chunk: Buffer): void {
    const bytes = this.#left.length === 0 ? chunk : Buffer.concat([this.#left, chunk])
    let at = 0
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (end > bytes.length) break
      this.#message(bytes.subarray(at, end))
      at = end
    }
    this.#left = bytes.subarray(at)
    if (this.secretsHold()) this.#search(bytes)
  }

  /** Nothing may be left of a message when the connection ends in order. */
  ended(): void {
    if (this.#left.length > 0) this.problems.push(`half a message at the end: ${this.#left.toString('latin1')}`)
  }

  #message(frame: Buffer): void {
    this.messages++
    const letter = letterOf(frame)
    if (!this.started && 'RKSZv'.includes(letter)) return this.#starts(letter, frame)
    const problem =
      backendProblem(frame) ?? this.#misfit(letter, frame) ?? this.early(frame) ?? this.#saved(letter, frame)
    if (problem !== undefined) this.problems.push(problem)
  }

  /** "Start-up": what was declined comes before everything else, the key as long as the version says. */
  #starts(letter: string, frame: Buffer): void {
    const { declined, keyBytes = 4 } = this.login ?? {}
    const first = this.messages === 1
    if (letter === 'v' ? !(first && declined?.equals(frame)) : first && declined)
      this.problems.push(`${letter} at the start: ${frame.toString('hex', 0, 80)}`)
    if (letter === 'K') this.key = Buffer.from(frame.subarray(5))
    if (letter === 'K' && frame.length !== 9 + keyBytes) this.problems.push(`a key in ${frame.length} bytes`)
    this.started = letter === 'Z'
  }

  #misfit(letter: string, frame: Buffer): string | undefined {
    if (this.#over) return `${letter} behind the last message`
    if (ASYNCHRONOUS.includes(letter)) return undefined
    if (letter === 'E' && /\0VFATAL\0/.test(frame.toString('latin1'))) this.#over = true
    if (this.#over) return undefined
    if (letter === 'E' && !this.mayBeCancelled && frame.includes(CANCELLED)) return 'cancelled by nobody'
    if (letter === 'd') this.#searchRows(frame.subarray(5))
    return this.#fit(letter, frame)
  }

  /** What failed has failed in its transaction as well. */
  #saved(letter: string, frame: Buffer): string | undefined {
    const failed = this.#failed
    if ('EZ'.includes(letter)) this.#failed = letter === 'E'
    if (!failed || letter !== 'Z' || !this.statusHolds || frame[5] !== 0x54) return undefined
    return 'a transaction goes on as if nothing in it had failed'
  }

  /** Leaves the readings that the message fits; a problem when there is none. */
  #fit(letter: string, frame: Buffer): string | undefined {
    const heard = this.#readings.map((reading) => reading.heard(letter))
    const fitting = heard.flatMap((result) => (typeof result === 'string' ? [] : result))
    if (fitting.length === 0)
      return `${heard.filter((result) => typeof result === 'string').join('; or ')}: ${frame.toString('latin1', 5, 200)}`
    this.#readings =
      fitting.length === 1 ? fitting : [...new Map(fitting.map((reading) => [reading.key, reading])).values()]
    return undefined
  }

  /** Rows of a COPY, however the messages cut them. */
  #searchRows(data: Buffer): void {
    const rows = Buffer.concat([this.#rows, data])
    if (this.secretsHold()) this.#search(rows)
    this.#rows = Buffer.from(rows.subarray(-SEARCHED_AGAIN))
  }

  #search(bytes: Buffer): void {
    for (const secret of this.#secrets)
      if (bytes.includes(secret) && !(bytes.includes(SYNTAX_ERROR) && this.#said.has(secret)))
        this.problems.push(`a secret: ${bytes.toString('latin1').slice(0, 400)}`)
  }
}
