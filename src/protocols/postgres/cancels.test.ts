import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cancels } from './cancels.ts'

describe('keys for cancelling', () => {
  it('have the process id of the target, and each session only hears of its own', () => {
    const cancels = new Cancels()
    const heard: string[] = []
    using one = cancels.add(7, 0, () => heard.push('one'))
    const other = cancels.add(7, 0, () => heard.push('other'))
    assert.deepEqual([one.pid, other.pid, one.key.equals(other.key)], [7, 7, false])
    cancels.request({ pid: 7, key: one.key })
    cancels.request({ pid: 8, key: one.key })
    cancels.request({ pid: 7, key: Buffer.from('abcd') })
    cancels.request({ pid: 7, key: Buffer.alloc(32) })
    assert.deepEqual(heard, ['one'])
    other[Symbol.dispose]()
    cancels.request({ pid: 7, key: other.key })
    cancels.request({ pid: 7, key: one.key })
    assert.deepEqual(heard, ['one', 'one'])
  })
})
