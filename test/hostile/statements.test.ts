import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { OnslaughtName } from './onslaughts.ts'
import { eventually, LINUX, noneLeft, startSiege, withstand, type Siege } from './siege.ts'

/** What each is answered with: the code of a refusal, an SQLSTATE of the target's, or `none`. Any of them is right. */
const ROWS: Partial<Record<OnslaughtName, readonly string[]>> = {
  'a statement of 9 MiB': ['too_large'],
  'a Parse of 9 MiB': ['too_large'],
  'a Bind of 60 MiB': ['too_large'],
  'a sum of 100,001': ['unreadable'],
  'parentheses 100,000 deep': ['42601', 'unreadable'],
  'sub-selects 2,000 deep': ['none', 'unreadable', '54001'],
  'a list of 200,000': ['none', 'unreadable'],
  '100,000 statements': ['too_large', 'unreadable'],
  '5,000 relations': ['too_large'],
  '5,000 functions': ['too_large', 'unreadable'],
  'expensive texts from 8 clients': ['none', 'unreadable'],
  'expensive short texts from 8 clients': ['none', 'unreadable'],
}

describe(
  'a text too much for the reader is refused or answered, its session lives, and others do not wait',
  LINUX,
  () => {
    let siege: Siege
    let start: number
    before(async () => {
      siege = await startSiege()
      start = siege.memory()
    })
    after(() => siege?.[Symbol.asyncDispose]())

    for (const [name, codes] of Object.entries(ROWS)) {
      it(name, async () => {
        const { outcome } = await withstand(siege, name as OnslaughtName)
        assert.ok(outcome.times > 0 && outcome.alive, JSON.stringify(outcome))
        const seen = outcome.codes.length > 0 ? outcome.codes : ['none']
        assert.deepEqual(
          seen.filter((code) => !codes.includes(code)),
          [],
        )
        await noneLeft(siege)
      })
    }

    it('holds on to no memory afterwards', async () => {
      await eventually('its memory back', () => siege.memory() < start + 256, 30_000)
    })
  },
)
