import { letterOf } from './answer-book.ts'
import { backendProblem } from './wire-rules.ts'

const ASYNCHRONOUS = 'NAS'
/** Stands for a Query with a COPY in it. */
const COPYING = 'Q copy'
/** What may answer a message, and of that what is the last; an ErrorResponse is everywhere else. */
const WITHIN: Readonly<Record<string, string>> = {
  [COPYING]: 'TDCIZGHdc',
  P: '1',
  B: '2',
  C: '3',
  D: 'tTn',
  E: 'DCIsGHdc',
  Q: 'TDCIZ',
  S: 'Z',
  F: 'Z',
}
const ENDS: Readonly<Record<string, string>> = {
  [COPYING]: 'Z',
  P: '1',
  B: '2',
  C: '3',
  D: 'Tn',
  E: 'CIs',
  Q: 'Z',
  S: 'Z',
  F: 'Z',
}
/** What may come while rows of a COPY come or go. */
const WITHIN_COPY = { in: 'CE', out: 'dcE' } as const
const INPUT = 'dcf'
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
  readonly #secrets: readonly string[]
  #left: Buffer = Buffer.alloc(0)
  #pending: string[] = []
  #skipping = false
  #over = false
  #copy: 'in' | 'out' | undefined
  /** Of the COPY that takes input: rows of it were sent; and a Sync behind them, which is ignored or not. */
  #fed: 'nothing' | 'rows' | 'doubtful' = 'nothing'
  /** Nobody can tell any more which answer is whose. */
  #lost = false
  #rows: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets
  }

  /** True when everything that was asked has its answer. */
  get answered(): boolean {
    return this.#pending.length === 0 || this.#lost
  }

  /** True while it is the client's turn: a COPY takes input. */
  get takesInput(): boolean {
    return this.#copy === 'in'
  }

  /** To be told of every well-formed message before it is sent. */
  clientSends(frame: Buffer): void {
    const letter = letterOf(frame)
    if (this.#copy === 'in' && this.#feeds(letter)) return
    if (letter === 'S') this.#skipping = false
    if (this.#skipping || !(letter in ENDS || INPUT.includes(letter))) return
    this.#pending.push(letter === 'Q' && /copy/i.test(frame.toString('latin1')) ? COPYING : letter)
    this.#ignoreInput(0)
  }

  /** True of what the other side takes, or ignores, in copy-in mode ("COPY Operations"). */
  #feeds(letter: string): boolean {
    if (letter === 'd' && this.#fed === 'nothing') this.#fed = 'rows'
    if (letter === 'S' && this.#fed === 'rows') this.#fed = 'doubtful'
    if (letter === 'c' || letter === 'f') this.#copy = undefined
    return 'dcfSH'.includes(letter)
  }

  /** Input that nobody asked for is not answered. */
  #ignoreInput(from: number): void {
    while (INPUT.includes(this.#pending[from] ?? '-')) this.#pending.splice(from, 1)
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
    if (!this.started && 'RKSZ'.includes(letter)) {
      this.started = letter === 'Z'
      return
    }
    const problem = backendProblem(frame) ?? this.#misfit(letter, frame)
    if (problem !== undefined) this.problems.push(problem)
  }

  #misfit(letter: string, frame: Buffer): string | undefined {
    if (this.#over) return `${letter} behind the last message`
    if (ASYNCHRONOUS.includes(letter)) return undefined
    if (letter === 'E' && /\0VFATAL\0/.test(frame.toString('latin1'))) this.#over = true
    if (this.#over || this.#lost) return undefined
    const head = this.#pending[0]
    if (head === undefined) return `${letter} though nothing was asked: ${frame.toString('latin1', 5, 200)}`
    if (this.#copy && !WITHIN_COPY[this.#copy].includes(letter)) return `${letter} while a COPY is open`
    if (letter === 'E') return this.#failed(head)
    if (!WITHIN[head]!.includes(letter)) return `${letter} as an answer to ${head}`
    if (INPUT.includes(letter) && this.#copy !== 'out') return `${letter} though no COPY is open`
    this.#follow(letter, frame)
    if (ENDS[head]!.includes(letter)) this.#pending.shift()
    this.#ignoreInput(0)
    return undefined
  }

  /** Into a COPY, through it and out of it. */
  #follow(letter: string, frame: Buffer): void {
    if (letter === 'd') this.#searchRows(frame.subarray(5))
    if ('cC'.includes(letter)) this.#copy = undefined
    if (letter === 'H') this.#copy = 'out'
    if (letter !== 'G') return
    this.#copy = 'in'
    this.#fed = 'nothing'
    // What was sent behind it already was read in copy-in mode.
    while (this.#copy === 'in' && this.#pending.length > 1 && this.#feeds(this.#pending[1]!)) this.#pending.splice(1, 1)
  }

  #failed(head: string): undefined {
    if (this.#copy === 'in' && this.#fed === 'doubtful') this.#lost = true
    this.#copy = undefined
    if (ENDS[head] === 'Z') return
    const next = this.#pending.indexOf('S')
    this.#skipping = next < 0
    this.#pending = next < 0 ? [] : this.#pending.slice(next)
  }

  /** Rows of a COPY, however the messages cut them. */
  #searchRows(data: Buffer): void {
    const rows = Buffer.concat([this.#rows, data])
    if (this.secretsHold()) this.#search(rows)
    this.#rows = Buffer.from(rows.subarray(-SEARCHED_AGAIN))
  }

  #search(bytes: Buffer): void {
    for (const secret of this.#secrets)
      if (bytes.includes(secret)) this.problems.push(`a secret: ${bytes.toString('latin1').slice(0, 400)}`)
  }
}
