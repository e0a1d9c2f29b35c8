import { letterOf } from './answer-book.ts'
import type { Random } from './random.ts'

/** Changes to whole messages. What comes out may be anything: the length field is right only by chance or on purpose. */

const NUMBERS = [
  0, 1, 2, 3, 4, 5, 0x7f, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
]

type Mutation = (frame: Buffer, random: Random, others: readonly Buffer[]) => Buffer

const MUTATIONS: readonly Mutation[] = [
  flipBits,
  (frame, random) => change(frame, (copy) => copy.fill(random.below(256), ...span(copy, 0, random))),
  (frame, random) => change(frame, (copy) => (copy[0] = random.below(256))),
  (frame, random) => change(frame, (copy) => (copy[0] = random.pick(LETTERS))),
  (frame, random) => withLength(frame, random.pick(NUMBERS)),
  (frame, random) => withLength(frame, frame.length - 1 + random.pick([-2, -1, 1, 2, 4])),
  (frame, random) => frame.subarray(0, random.below(frame.length)),
  (frame, random) => sized(frame.subarray(0, Math.max(5, random.below(frame.length)))),
  (frame, random) => sized(Buffer.concat([frame, Buffer.alloc(1 + random.below(9), random.below(256))])),
  (frame, random) => insert(frame, Buffer.alloc(1 + random.below(4)), random),
  (frame, random) =>
    insert(frame, Buffer.from(random.pick(['é', '\u202e', '\ud800', 'ÿ', '%s%n', "'\\", '\t'])), random),
  writeNumber,
  (frame, random, others) => splice(frame, random.pick(others), random),
  (frame, random) => Buffer.alloc(frame.length, random.pick([0, 0xff, frame[0]!])),
]
const LETTERS = Array.from('QPBDCEHSXFdcfpR1234AIKNTZntsvWGV', (letter) => letter.charCodeAt(0))

export function mutate(frame: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  return random.pick(MUTATIONS)(frame, random, others)
}

/** Bits of what the message carries; its type and its length stay. */
export function flipInside(frame: Buffer, random: Random): Buffer {
  if (frame.length < 6) return frame
  return change(frame, (copy) => (copy[5 + random.below(copy.length - 5)]! ^= 1 << random.below(8)))
}

/** The same bytes in pieces of any size. */
export function chunks(bytes: Buffer, random: Random): readonly Buffer[] {
  if (bytes.length < 2 || random.below(3) > 0) return [bytes]
  const pieces: Buffer[] = []
  const most = random.pick([1, 3, 7, 64, 1024])
  for (let at = 0; at < bytes.length && pieces.length < 40;) {
    const end = pieces.length === 39 ? bytes.length : at + 1 + random.below(most)
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

/** A message of this type with this body, its length right. */
export function whole(letter: string, ...parts: readonly Buffer[]): Buffer {
  return sized(Buffer.concat([Buffer.from(letter), Buffer.alloc(4), ...parts]))
}

/** How many strings a client's message begins with, and how many bytes stand before them. */
const STRINGS: Readonly<Record<string, readonly [count: number, before: number]>> = {
  Q: [1, 0],
  P: [2, 0],
  B: [2, 0],
  D: [1, 1],
  C: [1, 1],
  E: [1, 0],
}

/** A client's message with one of its names or texts changed, well-formed still. */
export function rename(frame: Buffer, random: Random, names: readonly string[], texts: readonly string[]): Buffer {
  const letter = letterOf(frame)
  const [count, before] = STRINGS[letter] ?? [0, 0]
  if (count === 0) return frame
  const place = random.below(count)
  let start = 5 + before
  for (let skipped = 0; skipped < place; skipped++) start = frame.indexOf(0, start) + 1
  const isText = letter === 'Q' || (letter === 'P' && place === 1)
  const text = Buffer.from(random.pick(isText ? texts : names))
  return sized(Buffer.concat([frame.subarray(0, start), text, frame.subarray(frame.indexOf(0, start))]))
}

function sized(frame: Buffer): Buffer {
  return withLength(frame, frame.length - 1)
}

function withLength(frame: Buffer, length: number): Buffer {
  return change(frame, (copy) => copy.length >= 5 && copy.writeUInt32BE(length >>> 0, 1))
}

function change(frame: Buffer, edit: (copy: Buffer) => unknown): Buffer {
  const copy = Buffer.from(frame)
  edit(copy)
  return copy
}

function flipBits(frame: Buffer, random: Random): Buffer {
  return change(frame, (copy) => {
    for (let left = random.below(4); left >= 0; left--) copy[random.below(copy.length)]! ^= 1 << random.below(8)
  })
}

function span(bytes: Buffer, from: number, random: Random): [number, number] {
  const start = from + random.below(bytes.length - from)
  return [start, Math.min(bytes.length, start + 1 + random.below(8))]
}

function writeNumber(frame: Buffer, random: Random): Buffer {
  if (frame.length < 9) return frame
  return change(frame, (copy) => {
    const number = random.pick(NUMBERS)
    if (random.once(2)) copy.writeUInt16BE(number & 0xffff, 5 + random.below(copy.length - 6))
    else copy.writeUInt32BE(number, 5 + random.below(copy.length - 8))
  })
}

function insert(frame: Buffer, bytes: Buffer, random: Random): Buffer {
  const at = 5 + random.below(Math.max(1, frame.length - 5))
  return sized(Buffer.concat([frame.subarray(0, at), bytes, frame.subarray(at)]))
}

function splice(frame: Buffer, other: Buffer, random: Random): Buffer {
  const head = frame.subarray(0, 5 + random.below(Math.max(1, frame.length - 4)))
  return sized(Buffer.concat([head, other.subarray(5 + random.below(Math.max(1, other.length - 4)))]))
}
