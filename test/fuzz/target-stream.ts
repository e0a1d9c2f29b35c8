import { error, frame, ready, rowDescription, str, u32, val } from '../frames-builder.ts'
import { letterOf } from './answer-book.ts'
import type { Captured } from './corpus.ts'
import type { Spoil } from './fuzz-target.ts'
import type { Account } from './ledger.ts'
import { flipInside, mutate, whole } from './mutate.ts'
import { random, type Random } from './random.ts'
import { backendProblem } from './wire-rules.ts'

const SECRET = 'ada@example.com'
const HIDDEN = 'HUSH-0001-HUSH'
/** Texts of errors that a value could stand in, from a source file whose texts are withheld and one whose are not. */
const ABOUT: readonly Readonly<Record<string, string>>[] = [
  {
    V: 'ERROR',
    C: '23505',
    M: `about ${SECRET}`,
    D: `Key (email)=(${SECRET})`,
    t: 'customers',
    n: 'customers_email_key',
  },
  { V: 'ERROR', C: '22P02', M: `invalid: "${SECRET}"`, W: `COPY line 1: "${SECRET}"`, F: 'numutils.c', L: '1' },
  { V: 'ERROR', C: '42703', M: `column "${SECRET}" does not exist`, H: SECRET, P: '8', F: 'parse_relation.c' },
]
/** What may come at any time. */
const UNASKED = [
  ...ABOUT.map((fields) => error({ S: 'NOTICE', ...fields, V: 'NOTICE' }, 'N')),
  frame('A', u32(4711), str('news'), str(`about ${SECRET}`)),
  frame('A', u32(4711), str('news'), str(HIDDEN)),
  frame('S', str('application_name'), str(SECRET)),
  frame('S', str('TimeZone'), str('UTC')),
  frame('S', str('search_path'), str('other')),
]
/** Behind a row of hidden columns, about a value that no detector knows: to be withheld whole. */
const TELLING = error({ S: 'NOTICE', V: 'NOTICE', C: '22P02', M: `invalid: "${HIDDEN}"`, D: HIDDEN }, 'N')
const ERRORS = ABOUT.map((fields) => error({ S: 'ERROR', ...fields }))
const RESULTS = [val(SECRET), val(`about ${SECRET} and more`), val(null), val('')].map((value) => frame('V', value))
const ODD = [
  frame('C', str(`SELECT ${SECRET}`)),
  frame('V', val('1')),
  ...RESULTS,
  ready('T'),
  ready('E'),
  rowDescription({ name: SECRET }),
  ...['G', 'H', 'W'].map((letter) => frame(letter, Buffer.from([0, 0, 0]))),
  frame('d', Buffer.from(SECRET)),
  frame('c'),
  frame('v', u32(0x30000), u32(0)),
  frame('R', u32(0)),
  frame('K', u32(1), Buffer.from('abcd')),
]

/** Every message of the target's side of the captured sessions, and ones that fit nowhere. */
export function targetFrames(captured: readonly Captured[]): readonly Buffer[] {
  const frames = captured.flatMap(({ frames }) => frames.filter(({ from }) => from === 'target'))
  return [...frames.map(({ bytes }) => bytes), ...ODD, ...ERRORS]
}

/** A target that answers as it should, mostly: rows and texts change, messages come unasked, and some fit nowhere. */
export function spoiling(account: Account | undefined, frames: readonly Buffer[]): Spoil {
  const chance = random(account?.seed ?? 0)
  const breaks = chance.pick([40, 400, 4_000])
  let broken = false
  let turns = 0
  return (honest) => {
    // The gateway's own question at the start is answered, mostly, or few would get further.
    if (turns++ < 5 && !chance.once(200)) return honest
    const said: Buffer[] = []
    for (const one of honest) {
      const spoilt = spoil(one, chance, frames, breaks)
      if (spoilt === undefined) return undefined
      if (account && spoilt.breaks && concernsRows(one, spoilt.said)) account.lied = true
      if (account && !broken) account.said += spoilt.said.length
      broken ||= spoilt.breaks
      said.push(...spoilt.said)
    }
    return said
  }
}

type Spoilt = { readonly said: readonly Buffer[]; readonly breaks: boolean }

function spoil(one: Buffer, chance: Random, frames: readonly Buffer[], breaks: number): Spoilt | undefined {
  if (chance.once(breaks)) return breaking(one, chance, frames)
  const said = [one]
  if (letterOf(one) === 'D') said.push(...Array.from({ length: chance.below(6) }, () => flipValue(one, chance)))
  if (letterOf(one) === 'D' && one.includes(HIDDEN) && chance.once(4)) said.push(TELLING)
  if (chance.once(12)) said.unshift(varied(chance.pick(UNASKED), chance))
  if (letterOf(one) === 'E') said[0] = varied(one, chance)
  if (letterOf(one) === 'V' && chance.once(3)) said[0] = chance.pick(RESULTS)
  return { said, breaks: said.some((frame) => backendProblem(frame) !== undefined) }
}

/** One that does not fit: undefined ends the connection. */
function breaking(one: Buffer, chance: Random, frames: readonly Buffer[]): Spoilt | undefined {
  const other = chance.pick(frames)
  switch (chance.below(9)) {
    case 0:
      return undefined
    case 1:
      return { said: [], breaks: true }
    case 2:
      return { said: [one, one], breaks: true }
    case 3:
      return { said: [other], breaks: true }
    case 4:
      return { said: [other, one], breaks: true }
    case 5:
      return { said: [chance.pick(ERRORS)], breaks: true }
    case 6:
      return { said: [whole(letterOf(one), one.subarray(5), Buffer.from(SECRET))], breaks: true }
    default:
      return { said: [mutate(one, chance, frames)], breaks: true }
  }
}

/** Rows whose columns or format are not what was said of them may show anything, as a target that lies may. */
function concernsRows(one: Buffer, said: readonly Buffer[]): boolean {
  return [one, ...said].some((frame) => frame.length === 0 || 'TDHd'.includes(letterOf(frame)))
}

function varied(frame: Buffer, chance: Random): Buffer {
  return chance.once(6) ? flipInside(frame, chance) : frame
}

/** A row with other bits in one of its values; lengths and places stay. */
function flipValue(row: Buffer, chance: Random): Buffer {
  const copy = Buffer.from(row)
  let at = 7
  for (let left = chance.below(Math.max(1, row.readUInt16BE(5))); left > 0; left--)
    at += 4 + Math.max(0, row.readInt32BE(at))
  const length = at + 4 <= row.length ? row.readInt32BE(at) : 0
  if (length > 0) copy[at + 4 + chance.below(length)]! ^= 1 << chance.below(8)
  return copy
}
