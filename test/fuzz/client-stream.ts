import { letterOf, stringsOf } from './answer-book.ts'
import { CALLS } from './calls.ts'
import { bind, functionCall } from '../client-messages.ts'
import type { Captured } from './corpus.ts'
import { mutate, rename, whole } from './mutate.ts'
import type { Random } from './random.ts'
import { SCRIPTS } from './scripts.ts'
import { frontendProblem } from './wire-rules.ts'

/** What fuzzing clients are made of. */
export type Seeds = {
  /** The client's side of each captured session, without Terminate. */
  readonly sessions: readonly (readonly Buffer[])[]
  readonly frames: readonly Buffer[]
  readonly texts: readonly string[]
}

const MIB = 1 << 20
const SYNC = whole('S')
const FLUSH = whole('H')
const TERMINATE = whole('X')
const LONG = 'x'.repeat(63)
const NAMES = [
  '',
  '',
  'a',
  'p',
  's',
  'c',
  'u',
  'named',
  LONG,
  `${LONG}y`,
  `${LONG}z`,
  'é',
  'sallyport_own',
  'sallyport_refused',
]
const TEXTS = [
  '',
  ';',
  '-- nothing',
  '/* nothing */ ;;',
  'x(',
  'SELECT 1',
  'SELECT 1; SELECT 2',
  'SELECT email, phone FROM customers',
  `SELECT name FROM customers WHERE email = 'ada@example.com'`,
  'DELETE FROM customers',
  'SELECT 1; DELETE FROM customers',
  `UPDATE orders SET paid = true WHERE id = 7`,
  `UPDATE customers SET note = 'x'`,
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'PREPARE a AS SELECT id, email FROM customers',
  'EXECUTE a',
  'DEALLOCATE ALL',
  'DECLARE c CURSOR FOR SELECT id, email, phone FROM customers',
  'FETCH ALL FROM c',
  'CLOSE ALL',
  'COPY customers TO STDOUT',
  'COPY customers (id, name, note) TO STDOUT',
  'COPY (SELECT id, email FROM customers) TO STDOUT',
  'COPY orders TO STDOUT (FORMAT binary)',
  'SELECT 1; COPY (SELECT id, note FROM customers) TO STDOUT; SELECT 2',
  'COPY orders FROM STDIN',
  'COPY orders FROM STDIN; SELECT 1; COPY customers FROM STDIN',
  'SET search_path = other',
  'SELECT $1::int',
  `SELECT '${'('.repeat(300)}'`,
  `SELECT ${'('.repeat(300)}1${')'.repeat(300)}`,
  `SELECT '${'long '.repeat(2_000)}'`,
  'SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))',
]
const TAKES_INPUT = /copy\b.*\bfrom\s+stdin/is
const ROWS = ['1\t2\t2.50\tt\t2026-01-01\n', '900\t1\t', 'ada@example.com\n', '\\.\n', '', LONG, 'data'].map((row) =>
  whole('d', Buffer.from(row)),
)
/** More than is kept of one: the texts are those of a Query, a Parse, a Bind and a FunctionCall. */
const TOO_LONG = [
  whole('Q', Buffer.alloc(2 * MIB, 'SELECT 1;'), Buffer.of(0)),
  whole('P', Buffer.of(0), Buffer.alloc(2 * MIB, 'SELECT 1;'), Buffer.alloc(3)),
  bind({ values: ['x'.repeat(16 * MIB)] }),
  functionCall(955, 0, Buffer.alloc(16 * MIB)),
]
const ODD_FRAMES = [
  whole('F', Buffer.alloc(10)),
  ...CALLS,
  whole('d', Buffer.from('data')),
  whole('c'),
  whole('f', Buffer.from('why\0')),
  whole('d'),
  whole('H'),
  whole('E', Buffer.from('\0\0\0\0\u0001')),
  whole('B', Buffer.from('\0\0\0\0\0\0\0\0')),
]

export function seedsOf(captured: readonly Captured[]): Seeds {
  const sessions = captured.map(({ frames }) =>
    frames.filter(({ from, bytes }) => from === 'client' && letterOf(bytes) !== 'X').map(({ bytes }) => bytes),
  )
  const scripts = [...sessions, ...SCRIPTS, ...SCRIPTS]
  const frames = [...sessions.flat(), ...ODD_FRAMES]
  const known = frames.flatMap(
    (frame) => ({ Q: [0], P: [1] })[letterOf(frame)]?.map((at) => stringsOf(frame)[at]!) ?? [],
  )
  return { sessions: scripts, frames, texts: [...new Set([...known, ...TEXTS])] }
}

/** One client's messages: captured ones in order with others between, changed now and then, broken rarely. */
export class ClientStream {
  readonly #random: Random
  readonly #seeds: Seeds
  #script: readonly Buffer[] = []
  #at = 0
  #unsynced = false
  /** What was parsed last takes input when it runs. */
  #takesInput = false
  #terminated = false

  constructor(random: Random, seeds: Seeds) {
    this.#random = random
    this.#seeds = seeds
  }

  /** True once it has said Terminate: no answer to anything behind it comes. */
  get terminated(): boolean {
    return this.#terminated
  }

  /** About so many messages. `breaks`: one in how many is not well-formed. */
  next(count: number, breaks: number): Buffer[] {
    const random = this.#random
    const frames: Buffer[] = []
    while (frames.length < count) {
      const chosen = this.#choose()
      const frame = random.once(breaks) ? mutate(chosen, random, this.#seeds.frames) : chosen
      // A Query inside a batch ends the session: that is tried, but rarely.
      if ('QF'.includes(letterOf(chosen)) && this.#unsynced && !random.once(60)) frames.push(SYNC)
      frames.push(frame)
      if (random.once(25)) frames.push(frame)
      if (this.#asksForInput(chosen)) frames.push(...this.#input())
      this.#unsynced = 'PBDCEH'.includes(letterOf(chosen)) || (this.#unsynced && letterOf(chosen) !== 'S')
    }
    if (random.once(20) && frames.length > 2) swap(frames, random)
    if (random.once(300)) frames.push(TERMINATE)
    this.#terminated ||= frames.some((frame) => frame[0] === 0x58)
    return frames
  }

  /** As far as one can tell: a name may stand for anything. */
  #asksForInput(frame: Buffer): boolean {
    const letter = letterOf(frame)
    if ('QP'.includes(letter)) this.#takesInput = TAKES_INPUT.test(frame.toString('latin1'))
    return 'QE'.includes(letter) && this.#takesInput && !this.#random.once(20)
  }

  /** Rows, and mostly an end of them. */
  #input(): readonly Buffer[] {
    const random = this.#random
    const rows = Array.from({ length: random.below(8) }, () =>
      random.once(40) ? random.pick([SYNC, FLUSH]) : random.pick(ROWS),
    )
    const end = random.once(4) ? whole('f', Buffer.from('why\0')) : whole('c')
    return random.once(20) ? rows : [...rows, end]
  }

  #choose(): Buffer {
    const random = this.#random
    const { sessions, frames, texts } = this.#seeds
    if (random.once(4)) return random.pick(frames)
    if (random.once(5_000)) return random.once(8) ? random.pick(TOO_LONG) : TOO_LONG[0]!
    if (random.once(40)) return random.pick(CALLS)
    if (random.once(30)) return whole('Q', Buffer.from(`${random.pick(texts)}\0`))
    if (this.#at >= this.#script.length || random.once(40)) {
      this.#script = random.pick(sessions)
      this.#at = random.once(3) ? random.below(this.#script.length) : 0
    }
    const frame = this.#script[this.#at++]!
    return random.once(8) ? rename(frame, random, NAMES, texts) : frame
  }
}

function swap(frames: Buffer[], random: Random): void {
  const at = random.below(frames.length - 1)
  frames.splice(at, 2, frames[at + 1]!, frames[at]!)
}

/** Bytes as the other side will cut them: whole messages, how many before the first that is malformed, what is left. */
export type Cut = { readonly frames: readonly Buffer[]; readonly good: number; readonly left: Buffer }

export function cut(bytes: Buffer): Cut {
  const frames: Buffer[] = []
  let at = 0
  let good = -1
  while (bytes.length - at >= 5) {
    const end = at + 1 + Math.max(4, bytes.readUInt32BE(at + 1))
    if (end > bytes.length) break
    const frame = bytes.subarray(at, end)
    if (good < 0 && frontendProblem(frame) !== undefined) good = frames.length
    frames.push(frame)
    at = end
  }
  return { frames, good: good < 0 ? frames.length : good, left: bytes.subarray(at) }
}
