import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DETECTOR_NAMES } from '../../mask/detectors.ts'
import { createMasker } from '../../mask/mask.ts'
import { detectorFor } from './detection.ts'

const JSON_TYPE = 114
const JSONB_TYPE = 3802
const TEXT_ARRAY = 1009
const masker = createMasker({ hidden: [], detect: DETECTOR_NAMES })

const VALUES = [
  '4111 1111 1111 1111',
  'ada@example.com',
  '123-45-6789',
  'DE89 3704 0044 0532 0130 00',
  '+49 30 12345678',
  '(212) 555-0123',
  '-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n',
  'AKIAIOSFODNN7EXAMPLE',
  'secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln',
]

/** The value as it is shown; undefined when it is as it was. */
function shown(typeOid: number, value: Buffer, format: 0 | 1 = 0): string | undefined {
  return detectorFor(typeOid, format)?.(value, masker)?.toString()
}

describe('detectorFor', () => {
  it('leaves valid JSON behind, whatever is found in it', () => {
    for (const value of VALUES) {
      const written = JSON.stringify({ note: `é ${value}`, [`\n${value}`]: [1, value, `\n${value}\t`] }, undefined, 1)
      const escaped = written.replaceAll('/', '\\/').replaceAll('é', '\\u00e9')
      for (const text of [written, escaped]) {
        const json = shown(JSON_TYPE, Buffer.from(text))
        assert.ok(json, value)
        // An address takes the letter of an escape before it with it: such a value is replaced whole.
        assert.equal(typeof JSON.parse(json), value.includes('@') ? 'string' : 'object', json)
        const kept = value.replace('secret: ', '').trim()
        assert.ok(!JSON.stringify(JSON.parse(json)).includes(JSON.stringify(kept).slice(1, -1)), json)
        assert.equal(shown(JSONB_TYPE, Buffer.from(`\u0001${text}`), 1), `\u0001${json}`)
      }
    }
  })

  it('replaces JSON whole where a private key has no end', () => {
    const text = JSON.stringify({ key: '-----BEGIN PRIVATE KEY-----\nMC4C', n: 1 })
    assert.equal(shown(JSON_TYPE, Buffer.from(text)), '"***"')
    assert.equal(shown(JSONB_TYPE, Buffer.from(`\u0001${text}`), 1), '\u0001"***"')
  })

  it('finds what stands in an array', () => {
    for (const value of VALUES.filter((each) => !each.includes('\n')))
      assert.ok(!shown(TEXT_ARRAY, Buffer.from(`{x,"${value}",y}`))?.includes(value), value)
  })
})
