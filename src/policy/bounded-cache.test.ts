import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { boundedCache } from './bounded-cache.ts'

describe('boundedCache', () => {
  it('forgets what was not used for longest', () => {
    const cache = boundedCache<number>(2, 10)
    cache.set('a', 1)
    cache.set('b', 2)
    assert.equal(cache.get('a'), 1)
    cache.set('c', 3)
    assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [1, undefined, 3])
  })

  it('does not keep what has a long key', () => {
    const cache = boundedCache<number>(2, 3)
    cache.set('long', 1)
    assert.equal(cache.get('long'), undefined)
  })
})
