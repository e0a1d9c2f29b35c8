import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { matchesGlob } from './glob.ts'
import { parseObject } from './strict-json.ts'

const parse = (text: string) => parseObject(Buffer.from(text))

describe('a JSON object', () => {
  it('is read as JSON.parse reads it, when nothing is in it twice', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))
    fc.assert(
      fc.property(object, fc.nat(2), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        assert.deepEqual(parse(text), JSON.parse(text))
      }),
    )
  })

  it('is refused when a member is in it twice, at any depth and however it is spelled', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue({ maxDepth: 2 }), fc.jsonValue(), (name, one, two) => {
        const escaped = Array.from(
          { length: name.length },
          (_, i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, '0')}`,
        )
        const inner = `{"a${escaped.join('')}": ${JSON.stringify(one)}, ${JSON.stringify(`a${name}`)}\n:${JSON.stringify(two)}}`
        for (const text of [inner, `{"x":[{},${inner}]}`, `{"x":{"y":${inner}},"z":1}`])
          assert.equal(parse(text), undefined)
      }),
    )
  })

  it('may have the same member in different objects, and quotes and brackets in its texts', () => {
    assert.ok(parse('{"a":{"a":[{"a":1},{"a":2}]},"b":"{\\"a\\":1,\\"a\\":2}","c":["x:","x:"]}'))
  })

  it('is nothing else: no list, scalar, broken UTF-8, byte order mark or deep nest', () => {
    for (const text of [
      '[]',
      '1',
      'null',
      '"a"',
      '',
      '{',
      '{}{}',
      '\ufeff{}',
      `{"a":${'['.repeat(40)}${']'.repeat(40)}}`,
    ]) {
      assert.equal(parse(text), undefined, text)
    }
    assert.equal(parseObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), undefined)
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseObject(bytes)))
  })
})

describe('a glob', () => {
  it('fits the whole text, with * for any characters', () => {
    const fits: [string, string][] = [
      ['*', ''],
      ['a*', 'a'],
      ['*a*b', 'xaxxb'],
      ['data-*', 'data-x'],
      ['a**b', 'ab'],
      ['.', '.'],
    ]
    const not: [string, string][] = [
      ['a', 'A'],
      ['a*a', 'a'],
      ['a*', 'ba'],
      ['.', 'x'],
      ['', 'a'],
      ['*ab*b', 'ab'],
      ['a*b', 'abc'],
    ]
    for (const [glob, text] of fits) assert.ok(matchesGlob(glob, text), `${glob} ${text}`)
    for (const [glob, text] of not) assert.ok(!matchesGlob(glob, text), `${glob} ${text}`)
  })

  it('fits what a regular expression of the same meaning fits', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
    fc.assert(
      fc.property(word, word, (glob, text) => {
        const plain = text.replaceAll('*', 'b')
        assert.equal(matchesGlob(glob, plain), new RegExp(`^${glob.replaceAll(/\*+/g, '.*')}$`).test(plain))
      }),
    )
  })
})
