import { error, frame, ready, str, val } from '../frames-builder.ts'
import { keyOf, letterOf, stringsOf } from './answer-book.ts'
import { NO_DATA, NO_PARAMETERS, type Answering } from './answering.ts'
import { MALFORMED_ROW } from './honest-copy.ts'

/** What a target did with a message. */
export type Turn = {
  readonly answer: readonly Buffer[]
  /** The text that it ran, or prepared, for the first time with this message. */
  readonly ran?: string
  /** Input that comes now is of a COPY that it has asked for input for. */
  readonly takesInput?: boolean
  /** It ends the connection. */
  readonly ends?: boolean
}

/** `made`: the text of SQL that prepared or declared it. */
type Prepared = { readonly text: string; readonly made?: string }
type Portal = Prepared & { readonly key: string; started: boolean; rest?: readonly Buffer[] }
/** What becomes of it once it is done: `follows` is its text. */
type Ran = Turn & { readonly follows?: string }
/** A COPY that takes input, and what is answered behind it. */
type Copying = { readonly rest: readonly Buffer[]; readonly simple: boolean; readonly follows: string | undefined }

const PARSED = frame('1')
const BOUND = frame('2')
const CLOSED = frame('3')
const SUSPENDED = frame('s')
const EMPTY = frame('I')
const READY = { I: ready('I'), T: ready('T'), E: ready('E') } as const
const DECLARE = /^\s*declare\s+(\w+)\s.*?\bfor\s+(.*)$/is
const PREPARE = /^\s*prepare\s+(\w+)\s+as\s+(.*)$/is
const INPUT = 'dcf'
const BLANK = /^(?:\s|;|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*$/

export const isBlank = (text: string): boolean => BLANK.test(text)
const fails = (code: string, message: string): Buffer => error({ S: 'ERROR', V: 'ERROR', C: code, M: message })
const done = (tag: string): Buffer => frame('C', str(tag))

/** One session of a target that keeps to the protocol and answers known texts as a real one did. */
export class HonestSession {
  readonly #answersTo: Answering
  readonly #statements = new Map<string, Prepared>()
  readonly #portals = new Map<string, Portal>()
  #status: keyof typeof READY = 'I'
  #skipping = false
  #copying: Copying | undefined
  /** A COPY has failed before the end of its input, which may still be on its way. */
  #dropping = false

  constructor(answersTo: Answering) {
    this.#answersTo = answersTo
  }

  take(message: Buffer): Turn {
    const letter = letterOf(message)
    if (this.#copying) return this.#input(letter, message, this.#copying)
    if (INPUT.includes(letter)) return this.#drop(letter)
    this.#dropping &&= letter === 'H'
    if (letter === 'S') return { answer: [this.#sync()] }
    if (this.#skipping) return { answer: [] }
    const simple = letter === 'Q' || letter === 'F'
    const { answer, ran, follows } = this.#asked(letter, message)
    return { answer: this.#give(answer, { simple, follows }), ran }
  }

  /** An answer up to where it needs input. */
  #give(answer: readonly Buffer[], { simple, follows }: Omit<Copying, 'rest'>): readonly Buffer[] {
    const asks = answer.findIndex((one) => letterOf(one) === 'G') + 1
    this.#copying = asks > 0 ? { rest: answer.slice(asks), simple, follows } : undefined
    if (asks > 0) return answer.slice(0, asks)
    if (follows !== undefined) this.#follow(follows, answer)
    const failed = answer.some((one) => letterOf(one) === 'E')
    if (failed && this.#status === 'T') this.#status = 'E'
    this.#skipping = failed && !simple
    if (!simple) return answer
    if (this.#status === 'I') this.#portals.clear()
    return [...answer, READY[this.#status]]
  }

  /** Copy-in mode ("COPY Operations"). */
  #input(letter: string, message: Buffer, copying: Copying): Turn {
    const fail = (code: string): Turn => ({ answer: this.#give([fails(code, 'no')], copying), takesInput: true })
    switch (letter) {
      case 'd':
        this.#dropping = message.includes(MALFORMED_ROW)
        return this.#dropping ? fail('22P04') : { answer: [], takesInput: true }
      case 'c':
        return { answer: this.#give(copying.rest, copying), takesInput: true }
      case 'f':
        return fail('57014')
      default:
        return { answer: [], ends: !'SH'.includes(letter) }
    }
  }

  /** Input that nobody wants is ignored. */
  #drop(letter: string): Turn {
    const takesInput = this.#dropping
    this.#dropping &&= letter === 'd'
    return { answer: [], takesInput }
  }

  #sync(): Buffer {
    this.#skipping = false
    if (this.#status === 'I') this.#portals.clear()
    return READY[this.#status]
  }

  #asked(letter: string, message: Buffer): Ran {
    if (letter === 'Q') return this.#query(message)
    if (letter !== 'F') return this.#extended(letter, message)
    if (this.#status === 'E') return { answer: [fails('25P02', 'current transaction is aborted')] }
    return { answer: [frame('V', val(message.subarray(5, 9)))] }
  }

  #query(message: Buffer): Ran {
    const text = stringsOf(message)[0]!
    if (isBlank(text)) return { answer: [EMPTY] }
    if (this.#aborted(text)) return { answer: [fails('25P02', 'current transaction is aborted')], ran: text }
    const conflict = this.#conflict(text)
    if (conflict) return { answer: [conflict], ran: text }
    return { answer: this.#answersTo(text, text).simple, ran: text, follows: text }
  }

  #extended(letter: string, message: Buffer): Ran {
    const [first = '', second = ''] = stringsOf(message)
    switch (letter) {
      case 'P':
        return this.#parse(shortened(first), second)
      case 'B':
        return this.#bind(shortened(first), shortened(second), message)
      case 'D':
        return { answer: this.#describe(message) }
      case 'E':
        return this.#execute(shortened(first), message.readUInt32BE(message.length - 4))
      case 'C': {
        const names = String.fromCharCode(message[5]!) === 'S' ? this.#statements : this.#portals
        names.delete(shortened(stringsOf(message, 1)[0]!))
        return { answer: [CLOSED] }
      }
      default:
        return { answer: [] }
    }
  }

  #parse(name: string, text: string): Turn {
    if (text.startsWith('sallyport refused')) return { answer: [fails('42601', 'syntax error')] }
    if (name !== '' && this.#statements.has(name)) return { answer: [fails('42P05', 'it exists')], ran: text }
    this.#statements.set(name, { text })
    return { answer: [PARSED], ran: text }
  }

  #bind(name: string, statement: string, message: Buffer): Turn {
    const prepared = this.#statements.get(statement)
    if (!prepared) return { answer: [fails('26000', 'no such statement')] }
    if (name !== '' && this.#portals.has(name)) return { answer: [fails('42P03', 'it exists')] }
    this.#portals.set(name, { ...prepared, key: keyOf(prepared.text, message), started: false })
    return { answer: [BOUND] }
  }

  #describe(message: Buffer): readonly Buffer[] {
    const name = shortened(stringsOf(message, 1)[0]!)
    if (String.fromCharCode(message[5]!) === 'S') {
      const text = this.#statements.get(name)?.text
      if (text === undefined) return [fails('26000', 'no such statement')]
      return isBlank(text) ? [NO_PARAMETERS, NO_DATA] : this.#answersTo(text, text).statement
    }
    const portal = this.#portals.get(name)
    if (portal === undefined) return [fails('34000', 'no such portal')]
    return isBlank(portal.text) ? [NO_DATA] : this.#answersTo(portal.text, portal.key).portal
  }

  #execute(name: string, most: number): Ran {
    const portal = this.#portals.get(name)
    if (!portal) return { answer: [fails('34000', 'no such portal')] }
    if (isBlank(portal.text)) return { answer: [EMPTY] }
    const { started } = portal
    portal.started = true
    const ran = started ? undefined : (portal.made ?? portal.text)
    const conflict = started ? undefined : this.#conflict(portal.text)
    if (conflict) return { answer: [conflict], ran }
    const all = portal.rest ?? (started ? [done('SELECT 0')] : this.#answersTo(portal.text, portal.key).rows)
    if (this.#aborted(portal.text)) return { answer: [fails('25P02', 'current transaction is aborted')], ran }
    const limit = most < 1 || most > 0x7fffffff ? Infinity : most
    const cut = all.length - 1 > limit && letterOf(all[0]!) === 'D'
    portal.rest = cut ? all.slice(limit) : [done('SELECT 0')]
    if (cut) return { answer: [...all.slice(0, limit), SUSPENDED], ran }
    return { answer: all, ran, follows: portal.text }
  }

  #aborted(text: string): boolean {
    return this.#status === 'E' && !/^\s*(?:rollback|commit|abort|end)\b/i.test(text)
  }

  /** Transactions and cursors, as far as the captured texts have them. */
  #follow(text: string, answer: readonly Buffer[]): void {
    if (answer.some((one) => letterOf(one) === 'E')) return
    for (const part of text.split(';')) {
      if (/^\s*(?:begin|start)\b/i.test(part)) this.#status = 'T'
      if (/^\s*(?:rollback(?!\s+to\b)|commit|abort|end)\b/i.test(part)) this.#status = 'I'
      if (/^\s*rollback\s+to\b/i.test(part) && this.#status === 'E') this.#status = 'T'
      const [, cursor, rows = ''] = DECLARE.exec(part) ?? []
      if (cursor) this.#portals.set(cursor, { text: rows, key: rows, made: text, started: false })
      const [, prepared, does = ''] = PREPARE.exec(part) ?? []
      if (prepared) this.#statements.set(prepared, { text: does, made: text })
      const gone = /^\s*(deallocate|close)\s+(\w+)/i.exec(part)
      if (gone) forget(gone[1]!.toLowerCase() === 'close' ? this.#portals : this.#statements, gone[2]!)
    }
  }

  /** SQL cannot give a name that is taken. */
  #conflict(text: string): Buffer | undefined {
    for (const part of text.split(';')) {
      if (this.#portals.has(DECLARE.exec(part)?.[1] ?? '-')) return fails('42P03', 'it exists')
      if (this.#statements.has(PREPARE.exec(part)?.[1] ?? '-')) return fails('42P05', 'it exists')
    }
    return undefined
  }
}

/** Of a name only so many bytes count (NAMEDATALEN). */
function shortened(name: string): string {
  return Buffer.from(name).toString('latin1', 0, 63)
}

function forget(names: Map<string, unknown>, name: string): void {
  if (name.toLowerCase() === 'all') names.clear()
  else names.delete(name)
}
