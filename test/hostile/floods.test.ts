import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { OnslaughtName } from './onslaughts.ts'
import { eventually, LINUX, noneLeft, startSiege, withstand, type Siege } from './siege.ts'

const NAMES: readonly OnslaughtName[] = [
  'a flood of Syncs',
  'a flood of Flushes',
  'a flood of Describes',
  'a flood of small Queries',
  'a flood of empty Queries',
  'a pipeline without Sync',
  'a pipeline of Parses',
  'messages for no COPY',
  'a client that reads nothing',
  'a byte at a time',
]

/** And what it hears first. */
const ENDED: readonly (readonly [OnslaughtName, readonly string[]])[] = [
  ['a NUL in a text', ['unreadable']],
  ['a negative length', ['unreadable']],
  ['a length of 2 GiB', ['unreadable']],
  ['a length below itself', ['unreadable']],
  ['half a message', []],
]

describe('a client that sends all it can, or nearly nothing, keeps no other one waiting', LINUX, () => {
  let siege: Siege
  let start: number
  before(async () => {
    siege = await startSiege()
    start = siege.memory()
  })
  after(() => siege?.[Symbol.asyncDispose]())

  for (const name of NAMES) {
    it(name, async () => {
      const { outcome } = await withstand(siege, name)
      assert.ok(outcome.times > 0 && outcome.alive, JSON.stringify(outcome))
      assert.deepEqual(outcome.codes, [])
    })
  }

  for (const [name, codes] of ENDED) {
    it(`${name} ends the session`, async () => {
      const { outcome } = await withstand(siege, name)
      assert.ok(outcome.times > 0 && !outcome.alive, JSON.stringify(outcome))
      assert.deepEqual(outcome.codes, codes)
    })
  }

  it('holds on to nothing afterwards', async () => {
    await noneLeft(siege)
    await eventually('its memory back', () => siege.memory() < start + 256, 30_000)
  })
})
