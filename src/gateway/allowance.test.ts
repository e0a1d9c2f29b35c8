import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { allowance } from './allowance.ts'
import { systemClock } from './clock.ts'

describe('an allowance', () => {
  it('is used up at once, and comes back with time', () => {
    let now = 0
    const allowed = allowance(3, { ...systemClock, monotonic: () => now })
    assert.deepEqual(Array.from({ length: 5 }, allowed), [true, true, true, false, false])
    now = 400
    assert.deepEqual([allowed(), allowed()], [true, false])
    now = 60_000
    assert.deepEqual(Array.from({ length: 4 }, allowed), [true, true, true, false])
  })
})
