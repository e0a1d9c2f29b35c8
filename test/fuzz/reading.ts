/** Stands for a Query with a COPY in it. */
export const COPYING = 'Q copy'
/** Stands for a Sync behind rows of a COPY: ignored, unless that COPY had failed before the Sync was read. */
const DOUBTFUL = 'S or not'
/** Stands for a FunctionCall that has its one result. */
const CALLED = 'F called'
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
  F: 'VZ',
  [CALLED]: 'Z',
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
  [CALLED]: 'Z',
}
/** What may come while rows of a COPY come or go. */
const WITHIN_COPY = { in: 'CE', out: 'dcE' } as const
const INPUT = 'dcf'

type State = {
  /** What was asked and has no whole answer yet. */
  pending: string[]
  skipping: boolean
  /** As the client has heard it. */
  copy: 'in' | 'out' | undefined
  /** What the client sends now is read in copy-in mode, if that has not failed; and rows are among what it has sent. */
  feeding: boolean
  fed: boolean
}

/** One reading of a conversation: what is still to be answered, if every Sync in doubt was taken as it says. */
export class Reading {
  readonly #state: State

  constructor(state: State = { pending: [], skipping: false, copy: undefined, feeding: false, fed: false }) {
    this.#state = state
  }

  /** Readings with the same key go on in the same way. */
  get key(): string {
    return JSON.stringify(this.#state)
  }

  get answered(): boolean {
    return this.#state.pending.length === 0
  }

  /** True while it is the client's turn: a COPY takes input. */
  get takesInput(): boolean {
    return this.#state.feeding
  }

  /** `letter`: of a frontend message, or `COPYING`. */
  sent(letter: string): void {
    const state = this.#state
    if (state.feeding) return void state.pending.push(...this.#feed(letter))
    if (letter === 'S') state.skipping = false
    if (state.skipping || !(letter in ENDS || INPUT.includes(letter))) return
    state.pending.push(letter)
    this.#ignoreInput()
  }

  /** What is left to be answered of a message in copy-in mode ("COPY Operations"). */
  #feed(letter: string): string[] {
    const state = this.#state
    if (letter === 'd') state.fed = true
    // Anything else ends the session, or shows that the COPY had failed before.
    if (!'dSH'.includes(letter)) state.feeding = false
    if (letter === 'S' && state.fed) return [DOUBTFUL]
    return 'dcfSH'.includes(letter) || !(letter in ENDS) ? [] : [letter]
  }

  /** Input that nobody asked for is not answered. */
  #ignoreInput(): void {
    while (INPUT.includes(this.#state.pending[0] ?? '-')) this.#state.pending.shift()
  }

  /** Whatever a backend message can mean here: the readings to go on with, or why it cannot be. */
  heard(letter: string): readonly Reading[] | string {
    const { pending, copy, feeding } = this.#state
    const head = pending[0]
    if (head === undefined) return `${letter} though nothing was asked`
    if (copy && (copy === 'out' || feeding) && !WITHIN_COPY[copy].includes(letter))
      return `${letter} while a COPY is open`
    if (letter === 'E') return this.#failed()
    if (!WITHIN[head]!.includes(letter)) return `${letter} as an answer to ${head}`
    if (INPUT.includes(letter) && copy !== 'out') return `${letter} though no COPY is open`
    if (copy === 'in' && (letter === 'C' || ENDS[head]!.includes(letter)))
      this.#close(pending.filter((asked) => asked !== DOUBTFUL))
    this.#follow(letter)
    if (letter === 'V') this.#state.pending[0] = CALLED
    if (ENDS[head]!.includes(letter)) this.#state.pending.shift()
    this.#ignoreInput()
    return [this]
  }

  /** Into a COPY, through it and out of it. */
  #follow(letter: string): void {
    const state = this.#state
    if (letter === 'c') state.copy = undefined
    if (letter === 'H') state.copy = 'out'
    if (letter !== 'G') return
    Object.assign(state, { copy: 'in', feeding: true, fed: false })
    // What was sent behind it already is read in copy-in mode.
    const [head = '', ...behind] = state.pending
    state.pending = [head]
    for (const letter of behind) state.pending.push(...(state.feeding ? this.#feed(letter) : [letter]))
  }

  #close(pending: string[]): void {
    Object.assign(this.#state, { copy: undefined, feeding: false, pending })
  }

  /** Of the Syncs in doubt those are answered that were read behind the failure: none, or the last so many. */
  #failed(): readonly Reading[] {
    const { pending } = this.#state
    const doubts = pending.filter((asked) => asked === DOUBTFUL).length
    if (doubts === 0) return [this.#failedWith(pending)]
    return Array.from({ length: doubts + 1 }, (_, ignored) => {
      let left = ignored
      const sure = pending.flatMap((asked) => (asked !== DOUBTFUL ? [asked] : left-- > 0 ? [] : ['S']))
      return new Reading({ ...this.#state }).#failedWith(sure)
    })
  }

  #failedWith(pending: string[]): Reading {
    this.#close(pending)
    if (ENDS[pending[0]!] === 'Z') return this
    const next = pending.indexOf('S')
    this.#state.skipping = next < 0
    this.#state.pending = next < 0 ? [] : pending.slice(next)
    return this
  }
}
