import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { COPYING, Reading } from './reading.ts'

/** The readings that are left of a talk, in which `>` is sent and `<` heard; or the problem. */
function follow(...talk: readonly string[]): readonly Reading[] | string {
  let readings: readonly Reading[] = [new Reading()]
  for (const step of talk) {
    const letter = step.slice(1)
    if (step.startsWith('>')) for (const reading of readings) reading.sent(letter)
    else {
      const heard = readings.map((reading) => reading.heard(letter))
      readings = heard.flatMap((result) => (typeof result === 'string' ? [] : result))
      if (readings.length === 0) return heard.filter((result) => typeof result === 'string').join('; or ')
    }
  }
  return readings
}

const canBeAnswered = (...talk: readonly string[]): boolean => {
  const readings = follow(...talk)
  return typeof readings !== 'string' && readings.some(({ answered }) => answered)
}

const COPY = `>${COPYING}`
const ENDED = [COPY, '>d', '>S', '>c', '<G', '<C', '<Z']
const FAILED = [COPY, '>d', '>S', '>d', '>c', '<G', '<E', '<Z']

describe('what a client may hear around a COPY of its own', () => {
  it('takes both answers to a Sync behind rows of a COPY that failed', () => {
    assert.ok(canBeAnswered(...FAILED))
    assert.ok(canBeAnswered(...FAILED, '<Z'))
    assert.equal(follow(...FAILED, '<Z', '<Z'), 'Z though nothing was asked')
  })

  it('demands the answers to everything behind such a Sync', () => {
    for (const doubtful of [[], ['<Z']]) {
      assert.ok(!canBeAnswered(...FAILED, '>B', '>S', ...doubtful, '<2'))
      assert.ok(canBeAnswered(...FAILED, '>B', '>S', ...doubtful, '<2', '<Z'))
      assert.equal(typeof follow(...FAILED, '>B', '>S', ...doubtful, '<1'), 'string')
    }
  })

  it('takes no answer to a Sync within a COPY that ended well', () => {
    assert.ok(canBeAnswered(...ENDED))
    assert.equal(follow(...ENDED, '<Z'), 'Z though nothing was asked')
  })

  it('demands the answer to a Sync behind a COPY that failed before it took input', () => {
    assert.ok(!canBeAnswered('>E', '>S', '<E'))
    assert.ok(canBeAnswered('>E', '>S', '<E', '<Z'))
  })

  it('demands that what was in the batch of a failed COPY is answered only if a Sync came between', () => {
    const failed = ['>E', '>d', '>S', '>c', '>P', '>S', '<G', '<E']
    assert.ok(canBeAnswered(...failed, '<Z'))
    assert.ok(canBeAnswered(...failed, '<Z', '<1', '<Z'))
    assert.equal(typeof follow(...failed, '<1'), 'string')
    assert.equal(typeof follow(...failed, '<Z', '<Z'), 'string')
  })
})
