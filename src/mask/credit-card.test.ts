import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { findCreditCards } from './credit-card.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(text)
  const spans = [...(findCreditCards(bytes) ?? [])].sort((a, b) => a.start - b.start)
  return spans.map(({ start, end }) => bytes.subarray(start, end).toString())
}

/** Written apart from the detector: over a string, from the right. */
function luhn(digits: string): boolean {
  const values = Array.from(digits, Number).toReversed()
  const sum = values.reduce((total, digit, index) => {
    const twice = 2 * digit
    return total + (index % 2 ? (twice > 9 ? twice - 9 : twice) : digit)
  }, 0)
  return sum % 10 === 0
}

describe('credit_card', () => {
  it('finds the test numbers of the networks', () => {
    const numbers = [
      '4111111111111111',
      '4222222222222',
      '5555555555554444',
      '2223003122003222',
      '378282246310005',
      '371449635398431',
      '6011111111111117',
      '30569309025904',
      '38520000023237',
      '3530111333300000',
      '6200000000000005',
      '6759649826438453',
    ]
    for (const number of numbers) assert.deepEqual(found(`card ${number}.`), [number], number)
  })

  it('finds groups joined by single spaces or dashes', () => {
    for (const number of ['4111-1111-1111-1111', '4111 1111 1111 1111', '3782 822463 10005', '411111-1111111111'])
      assert.deepEqual(found(`<${number}>`), [number])
    for (const text of ['4111  1111 1111 1111', '4111--1111-1111-1111', '4111.1111.1111.1111', '4111\n1111 1111 1111'])
      assert.deepEqual(found(text), [], text)
  })

  it('finds them inside other text', () => {
    assert.deepEqual(found('{"pan":"4111111111111111","n":1}'), ['4111111111111111'])
    assert.deepEqual(found('2024-01-01 4111 1111 1111 1111'), ['4111 1111 1111 1111'])
    assert.deepEqual(found('4111111111111111 12/27 123'), ['4111111111111111'])
    assert.deepEqual(found('é4111111111111111é'), ['4111111111111111'])
    assert.deepEqual(found('4111111111111111.00'), ['4111111111111111'])
    assert.deepEqual(found('4111111111111111,5555555555554444'), ['4111111111111111', '5555555555554444'])
    assert.deepEqual(found('-4111111111111111-'), ['4111111111111111'])
    assert.deepEqual(found('1234567890123456  4111111111111111'), ['4111111111111111'])
  })

  it('lets other numbers pass', () => {
    const passing = [
      '4111111111111112',
      '9999999999999999999',
      '0000000000000000',
      '1234567890123456',
      '41111111111111111',
      '14111111111111111',
      '411111111111111',
      '0.4111111111111111',
      '1700000000000',
      '2024-01-01 12:00:00',
      '550e8400-e29b-41d4-a716-446655440000',
      '',
    ]
    for (const text of passing) assert.deepEqual(found(text), [], text)
  })

  it('agrees with the check digit for any Visa number', () => {
    const digits = fc.stringMatching(/^4[0-9]{15}$/)
    fc.assert(fc.property(digits, (number) => assert.deepEqual(found(number), luhn(number) ? [number] : [])))
  })

  it('reads each byte a bounded number of times, whatever the text', () => {
    for (const unit of [
      '4',
      '4 ',
      '5 ',
      '4-4',
      '4111111111111111 ',
      '4111 1111 1111 1111 ',
      ' ',
      '41111111111111 ',
      '41111111111111  ',
    ]) {
      const text = Buffer.from(unit.repeat(Math.ceil(20_000 / unit.length)))
      const { counted, reads } = countReads(text)
      findCreditCards(counted)
      assert.ok(reads() <= 150 * text.length, `${unit}: ${reads()} reads of ${text.length} bytes`)
    }
  })
})

function countReads(bytes: Buffer): { readonly counted: Uint8Array; readonly reads: () => number } {
  let reads = 0
  const counted = new Proxy(bytes, {
    get: (target, key) => {
      reads++
      return Reflect.get(target, key)
    },
  })
  return { counted, reads: () => reads }
}
