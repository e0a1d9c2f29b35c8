import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { it } from 'node:test'
import { takeTurns } from './turns.ts'

it('those who have had a share go on one at a time, in the order in which they came', async () => {
  const turns = takeTurns()
  const order: string[] = []
  const all = ['a', 'b', 'c'].map(async (name) => {
    for (let share = 1; share <= 2; share++) {
      await turns.next()
      order.push(`${name}${share}`)
    }
  })
  await Promise.all(all)
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
})

it('whoever is alone goes on with every turn of the event loop; not while others ask for something', async () => {
  const turns = takeTurns()
  let shares = 0
  const over = new AbortController()
  const greedy = (async () => {
    for (; !over.signal.aborted; shares++) await turns.next()
  })()
  const after = async (loops: number, each: () => void): Promise<number> => {
    const before = shares
    for (let loop = 0; loop < loops; loop++) {
      each()
      await turn()
    }
    return shares - before
  }
  const alone = await after(1_000, () => undefined)
  const beside = await after(1_000, () => turns.small())
  over.abort()
  await greedy
  assert.ok(alone > 300, `${alone} shares alone`)
  assert.ok(beside < alone / 2, `${beside} shares beside others, ${alone} alone`)
})
