import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { median, percentile, ratio } from './statistics.ts'

describe('statistics', () => {
  it('takes the middle value, or the mean of the middle two', () => {
    assert.equal(median([9, 1, 5]), 5)
    assert.equal(median([9, 1, 5, 7]), 6)
  })

  it('takes percentiles by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.equal(percentile(values, 0.5), 50)
    assert.equal(percentile(values, 0.99), 99)
    assert.equal(percentile([3], 0.01), 3)
    assert.ok(Number.isNaN(percentile([], 0.5)))
  })

  it('compares the samples of a round with each other, not medians of different rounds', () => {
    assert.equal(ratio([10, 200, 30], [20, 400, 60]), 0.5)
    assert.equal(ratio([10, 2, 30], [20, 400, 60]), 0.5)
  })
})
