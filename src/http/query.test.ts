import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { readQuery } from './query.ts'

describe('readQuery', () => {
  it('tells the parameters as a form reads them, and keeps the text', () => {
    assert.deepEqual(readQuery('a=1&b=x+y%26&&c&=v&q=%c3%a9'), {
      text: 'a=1&b=x+y%26&&c&=v&q=%C3%A9',
      parameters: { a: '1', b: 'x y&', c: '', '': 'v', q: 'é' },
    })
    assert.deepEqual(readQuery(''), { text: '', parameters: {} })
  })

  it('takes a list only under a name that is one', () => {
    const list = readQuery('e[]=1&e%5b%5d=2')
    assert.deepEqual(list, { text: 'e%5B%5D=1&e%5B%5D=2', parameters: { 'e[]': '["1","2"]' } })
    assert.ok('problem' in readQuery('a=1&a=1') && 'problem' in readQuery('a=1&%61=2'))
  })

  it('refuses what servers read in different ways', () => {
    for (const raw of ['a;b', 'a=%', 'a=%00', 'a=%ff', 'a b', 'a#b', 'é', 'a|b', 'a\n'])
      assert.ok('problem' in readQuery(raw), raw)
  })

  it('agrees with URLSearchParams on everything it takes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), (given) => {
        const raw = new URLSearchParams(given).toString()
        const read = readQuery(raw)
        if ('problem' in read) return
        for (const [name, value] of new URLSearchParams(read.text)) {
          assert.equal(read.parameters[name], name.endsWith('[]') ? JSON.stringify([value]) : value)
        }
      }),
    )
  })
})
