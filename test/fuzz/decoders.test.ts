import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Fault } from '../../src/gateway/fault.ts'
import { Answers, type Result, type Sent } from '../../src/protocols/postgres/answers.ts'
import {
  encodeBind,
  encodeClose,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
} from '../../src/protocols/postgres/encode.ts'
import { FrameReader, type Frame } from '../../src/protocols/postgres/frames.ts'
import { CLIENT_LIMITS, TARGET_LIMITS } from '../../src/protocols/postgres/limits.ts'
import * as client from '../../src/protocols/postgres/messages-client.ts'
import * as target from '../../src/protocols/postgres/messages-target.ts'
import { letterOf } from './answer-book.ts'
import { seedsOf } from './client-stream.ts'
import { loadSessions } from './corpus.ts'
import { chunks, mutate } from './mutate.ts'
import { random, seedOf, type Random } from './random.ts'
import { readRun } from './run.ts'
import { targetFrames } from './target-stream.ts'
import { backendProblem, frontendProblem } from './wire-rules.ts'

const captured = loadSessions()
const fromClients = seedsOf(captured).frames
const fromTargets = targetFrames(captured)
const { seed, frames: wanted } = readRun(60_000)

type Decoder = { readonly decode: (frame: Frame) => unknown; readonly encode?: (value: never) => Buffer }

const CLIENT: Readonly<Record<string, Decoder>> = {
  Q: { decode: client.decodeQuery, encode: encodeQuery },
  P: {
    decode: client.decodeParse,
    encode: ({ name, query, types }: client.Parse) => encodeParse(name, query, types),
  },
  B: { decode: client.decodeBind, encode: encodeBind },
  D: { decode: client.decodeDescribe, encode: ({ kind, name }: client.Named) => encodeDescribe(kind, name) },
  C: { decode: client.decodeClose, encode: ({ kind, name }: client.Named) => encodeClose(kind, name) },
  E: {
    decode: client.decodeExecute,
    encode: ({ portal, maxRows }: client.Execute) => encodeExecute(portal, maxRows),
  },
  F: { decode: client.decodeFunctionCall },
  S: { decode: client.decodeEmpty },
  H: { decode: client.decodeEmpty },
  c: { decode: client.decodeEmpty },
  f: { decode: client.decodeCopyFail },
}
const TARGET: Readonly<Record<string, Decoder>> = {
  T: { decode: target.decodeRowDescription },
  D: { decode: target.decodeDataRow },
  G: { decode: target.decodeCopyResponse },
  H: { decode: target.decodeCopyResponse },
  t: { decode: target.decodeParameterDescription },
  E: { decode: target.decodeErrorFields },
  N: { decode: target.decodeErrorFields },
  C: { decode: target.decodeCommandComplete },
  V: { decode: target.decodeFunctionCallResponse },
  Z: { decode: target.decodeReadyForQuery },
  S: { decode: target.decodeParameterStatus },
  A: { decode: target.decodeNotificationResponse },
}
/** Not judged by the rules of the wire, which begin behind the start: they may only never throw anything else. */
const OTHERS: readonly Decoder['decode'][] = [
  target.decodeAuthentication,
  target.decodeBackendKeyData,
  target.decodeNegotiateProtocolVersion,
  client.decodePassword,
  client.decodeSaslInitialResponse,
  ({ bytes }) => client.decodeStartup(bytes),
]

/** What it reads; undefined when it throws the one thing that it may throw. */
function read<T>(decode: () => T): { readonly value: T } | undefined {
  try {
    return { value: decode() }
  } catch (error) {
    if (error instanceof Fault && error.code === 'protocol') return undefined
    throw error
  }
}

/** A mutated message, its length right again, so that it is the content that is judged. */
function broken(chance: Random, frames: readonly Buffer[]): Buffer {
  let frame = chance.pick(frames)
  for (let times = 1 + chance.below(3); times > 0 && frame.length > 0; times--) frame = mutate(frame, chance, frames)
  if (frame.length < 5) return Buffer.from([frame[0] ?? 0, 0, 0, 0, 4])
  const copy = Buffer.from(frame)
  copy.writeUInt32BE(copy.length - 1, 1)
  return copy
}

function decodeMany(
  context: TestContext,
  decoders: Readonly<Record<string, Decoder>>,
  frames: readonly Buffer[],
  problemOf: (frame: Buffer) => string | undefined,
): void {
  const chance = random(seedOf(seed, frames.length))
  const counts = { taken: 0, refused: 0 }
  for (let left = wanted; left > 0; left--) {
    const bytes = broken(chance, frames)
    const frame = { type: bytes[0]!, bytes }
    const other = chance.pick(OTHERS)
    read(() => other(frame))
    const decoder = decoders[letterOf(bytes)]
    if (!decoder) continue
    const found = read(() => decoder.decode(frame))
    assert.equal(found === undefined, problemOf(bytes) !== undefined, bytes.toString('hex'))
    if (found && decoder.encode) assert.deepEqual(decoder.encode(found.value as never), bytes)
    counts[found ? 'taken' : 'refused']++
  }
  context.diagnostic(`seed ${seed}: ${counts.taken} messages taken, ${counts.refused} refused`)
  assert.ok(counts.taken > wanted / 50 && counts.refused > wanted / 10)
}

describe('decoders, fuzzed', () => {
  it('take of what clients send exactly what is well-formed, and write it again byte for byte', (context) =>
    decodeMany(context, CLIENT, fromClients, frontendProblem))

  it('take of what targets send exactly what is well-formed', (context) =>
    decodeMany(context, TARGET, fromTargets, backendProblem))

  it('cut any stream into the same messages however it arrives, or throw a protocol fault', () => {
    const chance = random(seed)
    for (let left = wanted / 40; left > 0; left--) {
      const [frames, limit] = chance.once(2) ? [fromClients, CLIENT_LIMITS] : [fromTargets, TARGET_LIMITS]
      const parts = Array.from({ length: 1 + chance.below(20) }, () => chance.pick(frames))
      const bytes = Buffer.concat(parts.map((one) => (chance.once(20) ? mutate(one, chance, frames) : one)))
      const whole = read(() => new FrameReader(limit).push(bytes))
      const reader = new FrameReader(limit)
      const pieces = read(() => chunks(bytes, chance).flatMap((piece) => reader.push(piece)))
      assert.deepEqual(pieces, whole)
      assert.equal(reader.pending.length, whole ? bytes.length - lengthOf(whole.value) : reader.pending.length)
    }
  })
})

const lengthOf = (frames: readonly Frame[]): number => frames.reduce((sum, { bytes }) => sum + bytes.length, 0)

const SENT: readonly Sent[] = [
  'Query',
  'FunctionCall',
  'Parse',
  'Bind',
  'DescribeStatement',
  'DescribePortal',
  'Execute',
  'Close',
]

describe('the matching of answers, fuzzed', () => {
  it('ends every expectation once, whatever comes, and throws nothing but a protocol fault', () => {
    const chance = random(seed)
    for (let round = wanted / 40; round > 0; round--) {
      const results = new Map<number, Result[]>()
      const answers = new Answers(
        () => undefined,
        () => undefined,
      )
      for (let step = chance.below(30); step > 0; step--) {
        const place = results.size
        const ended: Result[] = []
        if (chance.once(2)) {
          results.set(place, ended)
          const sent = chance.pick([...SENT, 'Sync', 'Poison'] as const)
          answers.expect({ sent, done: (result) => void ended.push(result) })
        }
        const bytes = chance.once(30) ? broken(chance, fromTargets) : chance.pick(fromTargets)
        if (!read(() => answers.route({ type: bytes[0]!, bytes }))) break
      }
      answers.giveUp()
      assert.ok(answers.quiet)
      for (const ended of results.values()) assert.equal(ended.length, 1)
    }
  })
})
