import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Detector } from './detector.ts'
import { DETECTORS } from './detectors.ts'
import { createMasker } from './mask.ts'

/** Something that each finds, and what a hostile text may be made of. */
const CASES = {
  us_ssn: {
    value: '123-45-6789',
    hostile: ['-', '1', '123-', '123-45-', '123-45-6789-', '123 45 6789 ', '123-45-0000', '1-'],
  },
  iban: {
    value: 'DE89 3704 0044 0532 0130 00',
    hostile: [
      'DE89',
      'DE89 ',
      'D',
      '1',
      'RU03 0445 2522 ',
      'NO93',
      'NO9386011117947',
      'NO93 8601 1117 948 ',
      'A1',
      'LC55-',
    ],
  },
  phone: {
    value: '+49 30 12345678',
    hostile: [
      '+',
      '+1',
      '+49 ',
      '+2 (3) ',
      '%2B',
      '%2B4',
      '212-555-0123-',
      '(212) ',
      '212 555 0123 ',
      '555-',
      '+(',
      '1',
      '+1.2',
    ],
  },
  private_key: {
    value: '-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----',
    hostile: [
      '-',
      '-----BEGIN ',
      '-----BEGIN A-----',
      '-----BEGIN PRIVATE KEY-----',
      '-----BEGIN PRIVATE KEY-----\0',
      '-----END PRIVATE KEY-----',
      '-----BEGIN PRIVATE KEY-----END PRIVATE KEY',
      '----BEGIN            ',
      '---- ',
    ],
  },
  aws_key: {
    value: 'AKIAIOSFODNN7EXAMPLE',
    hostile: [
      'A',
      'AKIA',
      'AKIA/',
      'a',
      '/',
      '\\',
      '\\n',
      '\\/',
      `secret ${'aA'.repeat(20)} `,
      `${'aA'.repeat(20)} `,
      'ASIA ',
      'A\\',
    ],
  },
  jwt: {
    value: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln',
    hostile: [
      '.',
      'e',
      'ey',
      'eyJ',
      'eyJ.',
      'eyJhbGciOiJub25lIn0.',
      'eyJhbGciOiJub25lIn0',
      'a.',
      'eyJhbGciOiJub25lfX0A.',
      'eyJhbGciIn19fX19fX0.',
    ],
  },
} as const

const EACH = Object.entries(CASES).map(
  ([name, { value, hostile }]) => [name as keyof typeof CASES, value, hostile as readonly string[]] as const,
)

function hostileText(unit: string, length: number): Buffer {
  return Buffer.alloc(length, unit)
}

/** Bytes that count how often one of them is asked for; `indexOf` and `subarray` count for each byte they take. */
function countReads(bytes: Buffer): { readonly counted: Uint8Array; readonly reads: () => number } {
  let reads = 0
  const indexOf = (byte: number, from: number): number => {
    const found = bytes.indexOf(byte, from)
    reads += (found < 0 ? bytes.length : found) - from
    return found
  }
  const subarray = (start: number, end: number): Buffer => {
    reads += end - start
    return bytes.subarray(start, end)
  }
  const counted = new Proxy(bytes, {
    get: (target, key) => {
      reads++
      return key === 'indexOf' ? indexOf : key === 'subarray' ? subarray : Reflect.get(target, key)
    },
  })
  return { counted, reads: () => reads }
}

function readsOf(work: (bytes: Uint8Array) => unknown, text: Buffer): number {
  const { counted, reads } = countReads(text)
  work(counted)
  return reads()
}

describe('each detector', () => {
  for (const [name, value, hostile] of EACH) {
    const { find, suspects }: Detector = DETECTORS[name]

    it(`${name} takes hostile texts of 1 MiB, and finds no more than it was asked for`, () => {
      for (const unit of [...hostile, `${value}\0`]) {
        const text = hostileText(unit, 1 << 20)
        assert.ok((find(text, 100)?.length ?? 0) <= 100, unit)
        const all = find(text) ?? []
        if (all.length > 0) assert.ok(suspects(text), unit)
      }
      assert.equal(find(hostileText(`${value}\0`, 1 << 20), 100)?.length, 100)
    })

    it(`${name} reads each byte a bounded number of times, whatever the text`, () => {
      for (const unit of hostile)
        for (const work of [find, suspects]) {
          const [short, long] = [4_096, 8_192].map((length) => readsOf(work, hostileText(unit, length)))
          assert.ok(long! <= 60 * 8_192, `${work.name} of ${unit}: ${long} reads of 8192 bytes`)
          assert.ok(long! <= 2.1 * Math.max(short!, 8_192), `${work.name} of ${unit}: ${short}, then ${long} reads`)
        }
    })

    it(`${name} finds its value at every place of a text, and at both of its ends`, () => {
      const around = fc.string({
        unit: fc.constantFrom(' x ', '. ', ' ', 'é', '漢', '😀', ',', '"', '{', ';', '\n'),
        maxLength: 8,
      })
      fc.assert(
        fc.property(around, around, (before, after) => {
          const start = Buffer.byteLength(before)
          const spans = find(Buffer.from(before + value + after))
          assert.deepEqual(spans, [{ start, end: start + Buffer.byteLength(value) }])
        }),
      )
    })

    it(`${name} suspects all bytes in which it would find something`, () => {
      const piece = fc.constantFrom(
        value,
        value.slice(0, -4),
        value.slice(4),
        ...hostile,
        '-',
        ' ',
        '1',
        'A',
        'é',
        '"',
        '\\',
      )
      const text = fc.array(piece, { maxLength: 6 }).map((all) => Buffer.from(all.join('')))
      const bytes = fc.uint8Array({ maxLength: 8 })
      const letters = fc.string({ unit: fc.constantFrom('0', '9', 'a', 'Z', '-', '+', '.', '/', '_'), maxLength: 4 })
      fc.assert(
        fc.property(bytes, letters, text, letters, bytes, (before, joined, found, next, after) => {
          if (find(found) === undefined) return
          const all = [before, Buffer.from(joined), found, Buffer.from(next), after]
          assert.ok(suspects(Buffer.concat(all)), found.toString())
        }),
        { numRuns: 1_000, examples: [[new Uint8Array(), '9', Buffer.from(value), '9', new Uint8Array()]] },
      )
      assert.equal(suspects(Buffer.from('customer 4711 of 2024-01-01 12:00:00+01, 192.168.10.20, v1.22.333')), false)
    })

    it(`${name} cuts no character in two`, () => {
      const units = fc.constantFrom(value, ...hostile, 'é', '漢', '😀', ' ', '.')
      fc.assert(
        fc.property(fc.array(units, { maxLength: 8 }), (all) => {
          const text = Buffer.from(all.join(''))
          for (const { start, end } of find(text) ?? []) {
            assert.ok(start < end && end <= text.length)
            assert.ok(!text.subarray(start, end).toString().includes('\uFFFD'))
          }
        }),
      )
    })
  }

  it('leaves nothing of a value that another one overlaps', () => {
    const masker = createMasker({ hidden: [], detect: ['email', 'phone', 'aws_key', 'private_key', 'jwt', 'iban'] })
    const shown = (text: string): string => Buffer.from(masker.text(Buffer.from(text)) ?? []).toString()
    const values = EACH.filter(([name]) => name !== 'us_ssn').map(([, value]) => value)
    const inner = values.filter((value) => !value.includes('PRIVATE'))
    const key = `-----BEGIN PRIVATE KEY-----\n${inner.join('\n')}\n-----END PRIVATE KEY-----`
    assert.equal(shown(`a ${key} b`), 'a *** b')
    assert.equal(shown('+493012345678@example.com'), '***')
    assert.equal(shown('AKIAIOSFODNN7EXAMPLE.DE89370400440532013000@example.com'), '***')
    assert.equal(shown(values.join(' | ')), values.map(() => '***').join(' | '))
  })
})
