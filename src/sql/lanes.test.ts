import assert from 'node:assert/strict'
import { it } from 'node:test'
import { newLanes } from './lanes.ts'

const request = (caller: string, text = 'SELECT 1') => ({ text, caller, target: 'clinic', hidden: [] })

it('a long text is slow, whoever sends it', () => {
  const lanes = newLanes()
  assert.equal(lanes.isSlow(request('a', 'x'.repeat(4097))), true)
  assert.equal(lanes.isSlow(request('a')), false)
})

it('whoever had a slow text is slow for fifty times as long, and nobody else is', () => {
  let now = 0
  const lanes = newLanes(() => now)
  lanes.took(request('a'), 10)
  lanes.took(request('b'), 0.9)
  assert.deepEqual([lanes.isSlow(request('a')), lanes.isSlow(request('b'))], [true, false])
  now = 499
  lanes.took(request('a'), 2)
  now = 501
  assert.equal(lanes.isSlow(request('a')), true)
  now = 600
  assert.equal(lanes.isSlow(request('a')), false)
})
