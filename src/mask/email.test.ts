import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { findEmails } from './email.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(text)
  return (findEmails(bytes) ?? []).map(({ start, end }) => bytes.subarray(start, end).toString())
}

describe('email', () => {
  it('finds addresses and nothing around them', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['write to ada@example.com.', 'ada@example.com'],
      ['<ada.lovelace+test@mail.example.co.uk>', 'ada.lovelace+test@mail.example.co.uk'],
      ['"ada@example.com"', 'ada@example.com'],
      ["'ada@example.com'", 'ada@example.com'],
      ['{"e":"ada@example.com","n":1}', 'ada@example.com'],
      ['{ada@example.com,x}', 'ada@example.com'],
      ['https://x.example/?q=ada%40example.com&n=1', 'ada%40example.com'],
      ['jürgen@bücher.example', 'jürgen@bücher.example'],
      ['ada@xn--bcher-kva.xn--p1ai', 'ada@xn--bcher-kva.xn--p1ai'],
      ['用户@例子.公司', '用户@例子.公司'],
      ['a_b-c%d@example.com', 'a_b-c%d@example.com'],
      ['ada@example.com-', 'ada@example.com'],
      ['ada@example.com.', 'ada@example.com'],
      ['ada@example.com..x', 'ada@example.com'],
      ['mailto:ada@example.com?subject=x', 'ada@example.com'],
      ['ADA@EXAMPLE.COM', 'ADA@EXAMPLE.COM'],
      ['a@b@example.com', 'b@example.com'],
    ]
    for (const [text, address] of cases) assert.deepEqual(found(text), [address], text)
  })

  it('finds every one of a list', () => {
    assert.deepEqual(found('a@x.example;b@y.example c@z.example'), ['a@x.example', 'b@y.example', 'c@z.example'])
  })

  it('lets what is no address pass', () => {
    const passing = [
      'a @ b',
      'a @b.example',
      'user@',
      '@handle',
      'git@host:repo',
      'user@localhost',
      'root@10.0.0.1',
      'pkg@1.2.3',
      'a@b.c',
      'a@-b.example',
      'a@.example',
      'a@b..example',
      '100% of 40',
      '%40',
      '@',
      '',
    ]
    for (const text of passing) assert.deepEqual(found(text), [], text)
  })

  it('cuts no character in two', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', '@', '.', 'é', '漢', '😀', ' ', '%40', '-')), (units) => {
        for (const address of found(units.join(''))) assert.ok(!address.includes('\uFFFD'), address)
      }),
    )
  })

  it('reads each byte a bounded number of times, whatever the text', () => {
    for (const unit of ['a', '@', 'a@', 'a@a.', '.', 'a.', '%40', '%4', 'a@a-', 'a@b.example']) {
      const text = Buffer.from(unit.repeat(Math.ceil(20_000 / unit.length)))
      const { counted, reads } = countReads(text)
      findEmails(counted)
      assert.ok(reads() <= 12 * text.length, `${unit}: ${reads()} reads of ${text.length} bytes`)
    }
  })
})

/** `indexOf` counts as reading everything once. */
function countReads(bytes: Buffer): { readonly counted: Uint8Array; readonly reads: () => number } {
  let reads = 0
  const indexOf = (byte: number): number => {
    reads += bytes.length
    return bytes.indexOf(byte)
  }
  const counted = new Proxy(bytes, {
    get: (target, key) => {
      reads++
      return key === 'indexOf' ? indexOf : Reflect.get(target, key)
    },
  })
  return { counted, reads: () => reads }
}
