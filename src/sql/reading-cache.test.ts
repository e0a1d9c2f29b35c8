import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Reading } from './reader.ts'
import { newReadingCache } from './reading-cache.ts'

const READING: Reading = { statements: [] }

describe('the cache of readings', () => {
  it('drops what was not used for longest when it is full', () => {
    const cache = newReadingCache(100, 8)
    for (const key of ['aa', 'bb']) cache.keep(key, key, READING)
    cache.find('aa')
    cache.keep('cc', 'cc', READING)
    assert.deepEqual(
      ['aa', 'bb', 'cc'].map((key) => cache.find(key)),
      [READING, undefined, READING],
    )
  })

  it('keeps no large text', () => {
    const cache = newReadingCache(4, 1000)
    cache.keep('long', 'xxx', READING)
    assert.equal(cache.find('long'), undefined)
  })

  it('counts a text that is kept again once', () => {
    const cache = newReadingCache(100, 8)
    for (const key of ['aa', 'bb', 'aa', 'aa']) cache.keep(key, key, READING)
    assert.equal(cache.find('bb'), READING)
  })
})
