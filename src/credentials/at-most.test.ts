import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { it } from 'node:test'
import { atMost } from './at-most.ts'

it('runs no more at the same time than it may, in order, whatever fails', async () => {
  const limited = atMost(2)
  const order: number[] = []
  let running = 0
  let most = 0
  const work = (n: number) => async (): Promise<number> => {
    order.push(n)
    most = Math.max(most, ++running)
    await turn()
    running--
    if (n === 1) throw new Error('failed')
    return n
  }
  const settled = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => limited(work(n))))
  assert.deepEqual(
    settled.map((each) => (each.status === 'fulfilled' ? each.value : 'failed')),
    [0, 'failed', 2, 3, 4],
  )
  assert.deepEqual([order, most], [[0, 1, 2, 3, 4], 2])
})
