import { letterOf } from './answer-book.ts'
import { backendProblem } from './wire-rules.ts'

const ASYNCHRONOUS = 'NAS'
/** What may answer a message, and of that what is the last; an ErrorResponse is everywhere else. */
const WITHIN: Readonly<Record<string, string>> = {
  P: '1',
  B: '2',
  C: '3',
  D: 'tTn',
  E: 'DCIs',
  Q: 'TDCIZ',
  S: 'Z',
  F: 'Z',
}
const ENDS: Readonly<Record<string, string>> = { P: '1', B: '2', C: '3', D: 'Tn', E: 'CIs', Q: 'Z', S: 'Z', F: 'Z' }

/**
 * What one client hears after the start: each message has to be well-formed, to answer what the client sent ("Message
 * Flow"), and to show none of the secrets. Written apart from the gateway's own matching of answers.
 */
export class Heard {
  readonly problems: string[] = []
  messages = 0
  /** True once the start is over; before that, messages of the start may come. */
  started = false
  readies = 0
  /** Called for everything heard: false once the target has said of a secret that it is something else. */
  secretsHold = (): boolean => true
  readonly #secrets: readonly string[]
  #left: Buffer = Buffer.alloc(0)
  #pending: string[] = []
  #skipping = false
  #over = false

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets
  }

  /** True when everything that was asked has its answer. */
  get answered(): boolean {
    return this.#pending.length === 0
  }

  /** To be told of every well-formed message before it is sent. */
  clientSends(frame: Buffer): void {
    const letter = letterOf(frame)
    if (letter === 'S') this.#skipping = false
    if (letter in ENDS && !this.#skipping) this.#pending.push(letter)
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
    if (letter === 'Z') this.readies++
  }

  #misfit(letter: string, frame: Buffer): string | undefined {
    if (this.#over) return `${letter} behind the last message`
    if (ASYNCHRONOUS.includes(letter)) return undefined
    if (letter === 'E' && /\0VFATAL\0/.test(frame.toString('latin1'))) this.#over = true
    if (this.#over) return undefined
    const head = this.#pending[0]
    if (head === undefined) return `${letter} though nothing was asked: ${frame.toString('latin1', 5, 200)}`
    if (letter === 'E') return this.#failed(head)
    if (!WITHIN[head]!.includes(letter)) return `${letter} as an answer to ${head}`
    if (ENDS[head]!.includes(letter)) this.#pending.shift()
    return undefined
  }

  #failed(head: string): undefined {
    if (ENDS[head] === 'Z') return
    const next = this.#pending.indexOf('S')
    this.#skipping = next < 0
    this.#pending = next < 0 ? [] : this.#pending.slice(next)
  }

  #search(bytes: Buffer): void {
    for (const secret of this.#secrets)
      if (bytes.includes(secret)) this.problems.push(`a secret: ${bytes.toString('latin1').slice(0, 400)}`)
  }
}
