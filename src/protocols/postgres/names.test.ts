import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '../../gateway/fault.ts'
import { Names } from './names.ts'

const start = (): Names<string> => new Names((value) => value.length)

describe('Names', () => {
  it('believes a change in its own batch, and in another only once it is confirmed', () => {
    const names = start()
    const change = names.propose('a', 'one', 1)
    assert.deepEqual([names.look('a', 1), names.look('a', 2)], ['one', null])
    change.confirm()
    assert.equal(names.look('a', 2), 'one')
  })

  it('keeps the old meaning when a change fails', () => {
    const names = start()
    names.propose('a', 'one', 1).confirm()
    names.propose('a', 'two', 2).drop()
    names.propose('a', undefined, 2).drop()
    assert.equal(names.look('a', 3), 'one')
  })

  it('goes by the last of several changes', () => {
    const names = start()
    names.propose('a', 'one', 1)
    names.propose('a', undefined, 1)
    assert.equal(names.look('a', 1), undefined)
    names.propose('a', 'two', 1)
    assert.equal(names.look('a', 1), 'two')
    names.propose(null, undefined, 1)
    assert.deepEqual([names.look('a', 1), names.look('b', 1), names.look('b', 2)], [undefined, undefined, null])
  })

  it('settles a change once: what was confirmed cannot be dropped any more', () => {
    const names = start()
    const change = names.propose('a', 'one', 1)
    change.confirm()
    change.drop()
    names.propose('a', 'two', 2).confirm()
    change.confirm()
    assert.equal(names.look('a', 3), 'two')
  })

  it('tells names apart by the 63 bytes that count at the target', () => {
    const names = start()
    const same = 'é'.repeat(31) + 'x'
    names.propose(`${same}1`, 'one', 1).confirm()
    assert.equal(names.look(`${same}2`, 2), 'one')
    assert.equal(names.look(same.slice(0, -1), 2), undefined)
  })

  it('forgets what is gone at the target', () => {
    const names = start()
    names.propose('a', 'one', 1).confirm()
    names.propose('b', 'two', 1).confirm()
    names.forget((value) => value === 'one')
    assert.deepEqual([names.look('a', 2), names.look('b', 2)], [undefined, 'two'])
  })

  it('throws a Fault for more names than a session may have', () => {
    const names = start()
    for (let at = 0; at < 10_000; at++) names.propose(`n${at}`, '', 1)
    assert.throws(() => names.propose('one too many', '', 1), Fault)
  })

  it('throws a Fault for more bytes than a session may have, and counts what was replaced no more', () => {
    const names = new Names<number>((value) => value)
    const half = 64 << 20
    for (let at = 0; at < 5; at++) names.propose('a', half, 1).confirm()
    for (let at = 0; at < 5; at++) names.propose('b', half, 1).drop()
    names.propose('a', undefined, 1).confirm()
    names.propose('a', half, 1).confirm()
    names.propose('b', half, 1).confirm()
    assert.throws(() => names.propose('c', 1, 1), Fault)
  })
})
