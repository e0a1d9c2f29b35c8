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

  it('keeps no reading of very many statements, and counts those of a few', () => {
    const cache = newReadingCache(100, 3_000)
    const statement = { touches: [] } as unknown as Extract<Reading, { statements: unknown }>['statements'][number]
    const reading = (statements: number): Reading => ({
      statements: Array.from({ length: statements }, () => statement),
    })
    cache.keep('many', 'many', reading(251))
    for (const key of ['a', 'b', 'c']) cache.keep(key, key, reading(2))
    assert.deepEqual(
      ['many', 'a', 'b', 'c'].map((key) => cache.find(key) !== undefined),
      [false, false, true, true],
    )
  })

  it('counts a text that is kept again once', () => {
    const cache = newReadingCache(100, 8)
    for (const key of ['aa', 'bb', 'aa', 'aa']) cache.keep(key, key, READING)
    assert.equal(cache.find('bb'), READING)
  })
})
