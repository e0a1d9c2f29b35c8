import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Queue } from './queue.ts'

describe('Queue', () => {
  it('hands over at once what is there, and in order', () => {
    const queue = new Queue<string>(2)
    assert.equal(queue.push('a'), true)
    assert.equal(queue.push('b'), true)
    assert.equal(queue.peek(), 'a')
    assert.deepEqual([queue.next(), queue.next()], ['a', 'b'])
  })

  it('waits for an item, and ends once closed and empty', async () => {
    const queue = new Queue<string>(2)
    const waiting = queue.next()
    assert.ok(waiting instanceof Promise)
    queue.pushNow('a')
    queue.close()
    assert.equal(await waiting, 'a')
    assert.equal(queue.next(), undefined)
    assert.equal(queue.push('b'), false)
  })

  it('lets nobody in while it is full, unless it closes', async () => {
    const queue = new Queue<string>(1)
    await queue.push('a')
    const second = queue.push('b')
    assert.equal(queue.peek(), 'a')
    assert.equal(queue.next(), 'a')
    assert.equal(await second, true)
    const third = queue.push('c')
    queue.close()
    assert.equal(await third, false)
  })

  it('is drained when the last item is worked off, not when it is taken', async () => {
    const queue = new Queue<string>(2)
    queue.pushNow('a')
    let drained = false
    const end = queue.drained().then(() => (drained = true))
    void queue.next()
    await Promise.resolve()
    assert.equal(drained, false)
    void queue.next()
    await end
  })

  it('is drained when its reader leaves', async () => {
    const queue = new Queue<string>(2)
    queue.pushNow('a')
    queue.leave()
    await queue.drained()
    assert.equal(queue.pushNow('b'), false)
  })
})
