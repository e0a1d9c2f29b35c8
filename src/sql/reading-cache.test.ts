import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Reading } from './reader.ts'
import { newReadingCache, type ReadingCache } from './reading-cache.ts'

const HERE = { id: '0', version: 'a' }
const READING: Reading = { statements: [] }

/** The bytes of a key are those of `0 `, four, and of the text. */
function keep(cache: ReadingCache, text: string, bytes = 0, pinned?: readonly number[]): void {
  cache.keep(HERE, text, { reading: READING, bytes, ...(pinned && { pinned }) })
}

function held(cache: ReadingCache, texts: readonly string[]): readonly string[] {
  return texts.filter((text) => cache.find(HERE, text) !== undefined)
}

describe('the cache of readings', () => {
  it('drops what was not used for longest when it is full', () => {
    const cache = newReadingCache(100, 16)
    for (const text of ['aa', 'bb']) keep(cache, text)
    cache.find(HERE, 'aa')
    keep(cache, 'cc')
    assert.deepEqual(held(cache, ['aa', 'bb', 'cc']), ['aa', 'cc'])
  })

  it('counts the readings as well', () => {
    const cache = newReadingCache(100, 1000)
    for (const text of ['aa', 'bb', 'cc']) keep(cache, text, 400)
    assert.deepEqual(held(cache, ['aa', 'bb', 'cc']), ['bb', 'cc'])
  })

  it('keeps no large text', () => {
    const cache = newReadingCache(4, 1000)
    keep(cache, 'xxx')
    assert.equal(cache.find(HERE, 'xxx'), undefined)
  })

  it('counts a text that is kept again once', () => {
    const cache = newReadingCache(100, 16)
    for (const text of ['aa', 'bb', 'aa', 'aa']) keep(cache, text)
    assert.equal(cache.find(HERE, 'bb'), READING)
  })

  it('keeps the latest readings of one template, and no more of them than a few', () => {
    const cache = newReadingCache(1000, 100_000)
    for (let limit = 0; limit < 100; limit++) keep(cache, `a 5 LIMIT ${limit}`, 10, [1])
    const known = (limit: number) => cache.findAlike(HERE, `a 6 LIMIT ${limit}`) !== undefined
    assert.deepEqual([0, 50, 83, 84, 99].map(known), [false, false, false, true, true])
  })

  it('takes nothing for a template that was kept for one text alone', () => {
    const cache = newReadingCache(1000, 100_000)
    keep(cache, 'SET x TO 5')
    assert.equal(cache.findAlike(HERE, 'SET x TO 6'), undefined)
    assert.equal(cache.find({ ...HERE, id: '1' }, 'SET x TO 5'), undefined)
  })
})
