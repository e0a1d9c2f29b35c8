import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { block, countHidden, printable, shortened } from './printable.ts'

describe('recorded text on a terminal', () => {
  const shown: readonly (readonly [string, string, string])[] = [
    ['an ANSI escape', 'a\u001b[31mb', 'a\\u001b[31mb'],
    ['an 8-bit control', '\u009b2J', '\\u009b2J'],
    ['a carriage return', 'safe\rdrop', 'safe\\u000ddrop'],
    ['a right-to-left override', 'a\u202eb', 'a\\u202eb'],
    ['an isolate', '\u2066x\u2069', '\\u2066x\\u2069'],
    ['a zero-width space', 'se\u200blect', 'se\\u200blect'],
    ['a no-break space', 'a\u00a0b', 'a\\u00a0b'],
    ['a Hangul filler', 'a\u3164b', 'a\\u3164b'],
    ['a tag character', 'a\u{e0041}', 'a\\u{e0041}'],
    ['a line separator', 'a\u2028b', 'a\\u2028b'],
    ['a lone surrogate', 'a\ud800b', 'a\\ud800b'],
    ['a NUL', 'a\0b', 'a\\u0000b'],
    ['a line end', 'a\nb\tc', 'a\\nb\\tc'],
    ['ordinary text', 'Größe 数 😀 ~', 'Größe 数 😀 ~'],
  ]
  for (const [what, text, expected] of shown) {
    it(`shows ${what}`, () => assert.equal(printable(text), expected))
  }

  it('counts what could not be shown, line ends apart', () => {
    assert.equal(countHidden('a\n\u202eb\u001b'), 2)
  })

  it('never lets anything through that is not shown', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(printable(text), /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
      }),
    )
  })

  it('keeps every line of a block within the width and behind its margin', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.integer({ min: 1, max: 80 }), (text, width) => {
        const lines = block(text, width)
        for (const line of lines) {
          assert.match(line, /^ {2}[|:] /)
          assert.ok(Array.from(line).length <= Math.max(width, 24))
        }
        const first = lines.map((line, index) => (line.startsWith('  | ') && index > 0 ? '\n' : '') + line.slice(4))
        assert.equal(first.join(''), text.split('\n').map(printable).join('\n'))
      }),
    )
  })

  it('cannot be made to look like a field of the card by a long run of blanks', () => {
    const lines = block(`select 1${' '.repeat(100)}Vote        approve by corp/ann`, 60)
    assert.ok(lines.length > 1 && lines.slice(1).every((line) => line.startsWith('  : ')))
  })

  it('says how long the text is that it shortens', () => {
    assert.equal(shortened('abc', 3), 'abc')
    assert.equal(shortened('abcd', 3), 'abc… (4 characters)')
  })
})
