import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Secret } from '../gateway/secret.ts'
import { same } from './same.ts'

describe('two values of a config', () => {
  it('are the same when they mean the same', () => {
    const value = () => ({ a: [1, 'x', null, true], url: new URL('http://a/b'), key: new Secret('k'), none: undefined })
    assert.ok(same(value(), value()))
    assert.ok(same({ a: 1 }, { a: 1, b: undefined }))
  })

  it('differ when a secret or a URL does, which show nothing to a comparison of members', () => {
    assert.ok(!same({ key: new Secret('one') }, { key: new Secret('other') }))
    assert.ok(!same({ url: new URL('http://a/b') }, { url: new URL('http://a/c') }))
    assert.ok(!same(new Secret(''), {}))
    assert.ok(!same(new Secret(''), new URL('http://a')))
  })

  it('differ in any member, at any depth, in kind and in length', () => {
    for (const [one, other] of [
      [{ a: { b: 1 } }, { a: { b: 2 } }],
      [{ a: 1 }, { a: 1, b: 1 }],
      [[1], [1, 2]],
      [[], {}],
      [null, {}],
      ['1', 1],
      [[Symbol.iterator], [Symbol.asyncIterator]],
    ]) {
      assert.ok(!same(one, other))
      assert.ok(!same(other, one))
    }
  })
})
