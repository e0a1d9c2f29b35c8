import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { createMasker } from './mask.ts'
import { DETECTOR_NAMES } from './detectors.ts'

const both = createMasker({ hidden: [], detect: ['credit_card', 'email'] })

function shown(text: string, masker = both): string | undefined {
  const masked = masker.text(Buffer.from(text))
  return masked && Buffer.from(masked).toString()
}

describe('createMasker', () => {
  it('hides a column with any hidden class', () => {
    const masker = createMasker({ hidden: ['pii', 'card'], detect: [] })
    assert.equal(masker.hides(['card']), true)
    assert.equal(masker.hides(['public', 'pii']), true)
    assert.equal(masker.hides(['public']), false)
    assert.equal(masker.hides([]), false)
  })

  it('detects nothing where no detector is on', () => {
    const masker = createMasker({ hidden: ['pii'], detect: [] })
    assert.equal(masker.detects, false)
    assert.equal(shown('ada@example.com 4111111111111111', masker), undefined)
  })

  it('replaces a text whole in which there is very much to find', () => {
    for (const found of ['a@b.co ', '4111111111111111,']) {
      assert.equal(shown(found.repeat(1000)), found.replace(/[^ ,]+/, '***').repeat(1000))
      assert.equal(shown(found.repeat(200_000)), '***')
    }
  })

  it('replaces what is found and keeps the rest', () => {
    assert.equal(shown('Ada <ada@example.com> paid with 4111 1111 1111 1111, é.'), 'Ada <***> paid with ***, é.')
    assert.equal(shown('nothing here'), undefined)
  })

  it('uses only the detectors that are on', () => {
    const masker = createMasker({ hidden: [], detect: ['email'] })
    assert.equal(shown('ada@example.com 4111111111111111', masker), '*** 4111111111111111')
  })

  it('makes one of two finds that overlap', () => {
    assert.equal(shown('4111111111111111@example.com'), '***')
    assert.equal(shown('5018 4111 1111 1111 1111'), '5018 ***')
  })

  it('shows nothing of a value, whatever stands around it', () => {
    const around = fc
      .array(fc.constantFrom('|', 'x ', '. ', ' - ', 'é', '12,', '4111 ', '5018-'))
      .map((all) => all.join(''))
    fc.assert(
      fc.property(around, around, fc.constantFrom('4111111111111111', 'a@b.example'), (before, after, value) => {
        const masked = shown(`${before}${value},${after}`)
        assert.ok(masked && !masked.includes(value), `${masked}`)
      }),
    )
  })

  it('suspects all bytes in which something would be found', () => {
    const piece = fc.constantFrom('4111', '1111', '5555 5555', '-', ' ', 'ada', '@', '%40', 'example', '.', 'com', 'é')
    const text = fc.array(piece).map((all) => Buffer.from(all.join('')))
    const bytes = fc.uint8Array({ maxLength: 8 })
    fc.assert(
      fc.property(bytes, text, bytes, (before, value, after) => {
        if (both.text(value)) assert.ok(both.suspects(Buffer.concat([before, value, after])), value.toString())
      }),
      { numRuns: 2_000, examples: [[new Uint8Array(), Buffer.from('4111 1111-1111 1111'), new Uint8Array()]] },
    )
    assert.equal(both.suspects(Buffer.from('customer 123-456-789 012 at example.com')), false)
  })

  it('takes a text of 10 MB', () => {
    for (const unit of ['a@', '4 ', '41111111111111  ']) {
      const text = Buffer.alloc(10_000_000, unit)
      assert.equal(both.text(text), undefined, unit)
    }
  })

  it('names its detectors', () => {
    assert.deepEqual(DETECTOR_NAMES, [
      'credit_card',
      'email',
      'us_ssn',
      'iban',
      'phone',
      'private_key',
      'aws_key',
      'jwt',
    ])
  })
})
