import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Fault } from '../gateway/fault.ts'
import { isAt, parseJsonPath } from './json-path.ts'
import { rewriteJson } from './rewrite-json.ts'

const keep = { hides: () => false, scalar: () => undefined }

function hiding(text: string, ...paths: readonly string[]): string {
  const parsed = paths.map((path) => parseJsonPath(path)!)
  return rewriteJson(text, { ...keep, hides: (place) => parsed.some((path) => isAt(path, place)) })
}

describe('rewriteJson', () => {
  it('hides the values of a path, whatever they are, and nothing else', () => {
    const text = '{"a":[{"e":"x","k":1},{"e":[1,{"e":2}]},{"e":null},{"\\u0065":-1.5e3}],"e":"y"}'
    assert.equal(hiding(text, '$.a[*].e'), '{"a":[{"e":"***","k":1},{"e":"***"},{"e":null},{"\\u0065":"***"}],"e":"y"}')
    assert.equal(hiding('[[1,2],[3]]', '$[0][1]'), '[[1,"***"],[3]]')
    assert.equal(hiding('{"a.b":{"c":1},"d":[]}', "$['a.b'].*"), '{"a.b":{"c":"***"},"d":[]}')
    assert.equal(hiding(' {"a":1,"a":2} ', '$.a'), ' {"a":"***","a":"***"} ')
    assert.equal(hiding('{"a":1}', '$'), '"***"')
    assert.equal(hiding('{"s":"}],\\"[{","e":1}', '$.e'), '{"s":"}],\\"[{","e":"***"}')
  })

  it('offers every string, name and number in its decoded form', () => {
    const seen: string[] = []
    const scalar = (text: string): string | undefined => (seen.push(text), text === 'A' ? 'b"' : undefined)
    assert.equal(
      rewriteJson('{"\\u0041":["A",1.50,true,null]}', { ...keep, scalar }),
      '{"b\\"":["b\\"",1.50,true,null]}',
    )
    assert.deepEqual(seen, ['A', 'A', '1.50'])
  })

  it('keeps every byte of any JSON, and hides as a plain reading would', () => {
    const value = fc.jsonValue({ maxDepth: 4 })
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2), (given, space) => {
        const text = JSON.stringify(given, undefined, space)
        assert.equal(rewriteJson(text, keep), text)
      }),
    )
    const records = fc.array(fc.record({ e: value, keep: value }))
    fc.assert(
      fc.property(records, (given) => {
        const expected = given.map((one) => ({ ...one, e: one.e === null ? null : '***' }))
        assert.deepEqual(JSON.parse(hiding(JSON.stringify(given), '$[*].e')), JSON.parse(JSON.stringify(expected)))
      }),
    )
  })

  it('throws a Fault for what is no JSON, or has no bottom', () => {
    for (const text of [
      '',
      '{',
      '{"a":1,}',
      "{'a':1}",
      '[1]x',
      'NaN',
      '['.repeat(2_000_000),
      `${'['.repeat(513)}${']'.repeat(513)}`,
    ]) {
      assert.throws(() => rewriteJson(text, keep), Fault)
    }
  })
})

describe('parseJsonPath', () => {
  it('takes no path that is more than names and places', () => {
    for (const text of [
      '',
      'a',
      '$a',
      '$..a',
      '$.',
      '$[',
      '$[-1]',
      '$[01]',
      '$[?(@.a)]',
      '$[0:2]',
      "$['a]",
      '$.a b',
      '$.a[',
    ]) {
      assert.equal(parseJsonPath(text), undefined, text)
    }
  })
})
