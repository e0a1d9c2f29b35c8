import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { FakeClient, FakeScript } from '../../src/protocols/postgres/fake.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import {
  bind,
  close,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  query,
  run,
  sync,
  terminate,
} from '../client-messages.ts'
import { dataRow, error, frame, ready, str } from '../frames-builder.ts'
import { COLUMNS, done, honestTarget, isOwn, ROW } from './honest-target.ts'
import { startFakeScene, startReader, type FakeScene } from './postgres-scene.ts'

let reader: SqlReader
before(() => {
  reader = startReader()
})
after(() => reader[Symbol.asyncDispose]())

/** Numbers from 0 up to below `limit`, the same for the same seed (mulberry32). */
type Random = (limit: number) => number

function random(seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

const TEXTS = [
  'SELECT email, name FROM customers',
  'DELETE FROM customers',
  'BEGIN',
  'PREPARE a AS SELECT 1',
  'EXECUTE a',
  '',
  'x(',
]
const NAMES = ['', 'a', 'b']

const CLIENT: readonly ((pick: <T>(of: readonly T[]) => T) => Buffer)[] = [
  (pick) => query(pick(TEXTS)),
  (pick) => parse(pick(TEXTS), pick(NAMES)),
  (pick) => bind({ portal: pick(NAMES), statement: pick(NAMES), formats: pick([[], [0], [1], [0, 1]]) }),
  (pick) => describeStatement(pick(NAMES)),
  (pick) => describePortal(pick(NAMES)),
  (pick) => execute(pick(NAMES), pick([0, 1])),
  (pick) => close(pick(['S', 'P']), pick(NAMES)),
  (pick) => run(pick(TEXTS)),
  () => sync,
  () => sync,
  () => flush,
  () => frame('d', Buffer.from('x')),
  () => frame('F', Buffer.alloc(10)),
]

const TARGET: readonly Buffer[] = [
  ROW,
  COLUMNS,
  done('SELECT 1'),
  ready('I'),
  ready('T'),
  ready('E'),
  dataRow('ada@example.com'),
  error({ S: 'ERROR', C: '22012', M: 'about ada@example.com' }),
  error({ S: 'NOTICE', C: '00000', M: 'about ada@example.com' }, 'N'),
  ...['1', '2', '3', 'n', 's', 'I'].map((letter) => frame(letter)),
  frame('S', str('a'), str('b')),
]

/** Now and then a byte of it is another, or it is cut short. */
function mutate(bytes: Buffer, below: Random): Buffer {
  const chance = below(40)
  if (chance === 0) return bytes.subarray(0, below(bytes.length + 1))
  if (chance > 2 || bytes.length === 0) return bytes
  const changed = Buffer.from(bytes)
  changed[below(changed.length)] = below(256)
  return changed
}

/** Keeps to the protocol, mostly; always while the session starts, or few would get further. */
function moodyTarget(below: Random): { readonly answer: FakeScript['answer']; readonly leave: () => void } {
  const started = new Set<FakeClient>()
  const honest = honestTarget((text, client) => {
    if (isOwn(text)) return undefined
    if (below(6) === 0) return [mutate(TARGET[below(TARGET.length)]!, below)]
    if (below(40) === 0) client.reset()
    return undefined
  })
  const answer: FakeScript['answer'] = (message, client) => {
    if (started.has(client) && below(30) === 0) client.send(mutate(TARGET[below(TARGET.length)]!, below))
    honest?.(message, client)
    if (String.fromCharCode(message.type) === 'S') started.add(client)
  }
  return { answer, leave: () => started.forEach((client) => client.end()) }
}

/** One connection's life: some messages, in one or several writes, and one of the ways to go. */
async function live(scene: FakeScene, below: Random): Promise<Buffer> {
  const client = await scene.connect()
  const pick = <T>(of: readonly T[]): T => of[below(of.length)]!
  for (let write = below(4); write >= 0; write--) {
    const messages = Array.from({ length: 1 + below(8) }, () => mutate(pick(CLIENT)(pick), below))
    client.send(...messages)
    if (below(2) === 0) await setTimeout(below(4))
  }
  if (below(3) === 0) client.send(terminate)
  await setTimeout(below(10))
  client.socket[pick(['destroy', 'end', 'resetAndDestroy'] as const)]()
  if (!client.socket.closed) client.socket.destroy()
  return Buffer.concat(client.messages.map(({ body }) => body))
}

describe('random messages from both sides', () => {
  it('crash nothing, hang nothing, and show no sensitive value', async () => {
    const below = random(20_260_101)
    const { answer, leave } = moodyTarget(below)
    await using scene = await startFakeScene(reader, { password: undefined, answer })
    let connected = 0
    for (let round = 0; round < 40; round++) {
      const lives = await Promise.allSettled(Array.from({ length: 8 }, () => live(scene, below)))
      for (const { status, ...one } of lives) {
        if (status === 'fulfilled') connected++
        const heard = 'value' in one ? one.value.toString('latin1') : ''
        assert.doesNotMatch(heard, /ada@example\.com/, `round ${round}`)
      }
      // What was asked before a Terminate still runs, and this target may never answer it.
      leave()
      await scene.quiet()
    }
    assert.ok(connected > 200, `${connected} connections came through their start`)
    assert.deepEqual(scene.thrown, [])
    const count = (wanted: string): number => scene.entries.filter(({ type }) => type === wanted).length
    assert.equal(count('session.closed'), count('session.opened'))
    assert.equal(count('lease.revoked'), count('session.opened'))
  })
})
