import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { door } from './strangers.ts'

describe('the door', () => {
  it('lets so many in from one address, and so many in all', () => {
    const enter = door({ total: 3, perAddress: 2 })
    assert.ok(enter('a') && enter('a'))
    assert.equal(enter('a'), undefined)
    assert.ok(enter('b'))
    assert.equal(enter('c'), undefined)
  })

  it('counts whoever is known, or gone, no more, and only once', () => {
    const enter = door({ total: 2, perAddress: 1 })
    const leave = enter('a')
    assert.equal(enter('a'), undefined)
    leave?.()
    leave?.()
    assert.ok(enter('a'))
    assert.ok(enter('b'))
    assert.equal(enter('c'), undefined)
  })
})
