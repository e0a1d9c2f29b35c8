import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { readPath } from './path.ts'

const spelled = (raw: string): string | undefined => {
  const read = readPath(raw)
  return 'path' in read ? read.path : undefined
}

describe('readPath', () => {
  it('gives one spelling to what is the same', () => {
    const same: Readonly<Record<string, string>> = {
      '/': '/',
      '/v1/invoices/': '/v1/invoices/',
      '/%76%31/%7euser': '/v1/~user',
      '/a%40b%3Ac%24%2b': '/a@b:c$+',
      '/caf%c3%a9/a%20b%3f': '/caf%C3%A9/a%20b%3F',
      '/a/./b/../c/.': '/a/c/',
      '/a/b/..': '/a/',
      '/...': '/...',
    }
    for (const [raw, path] of Object.entries(same)) assert.equal(spelled(raw), path)
    assert.deepEqual(readPath('/a/b/'), { path: '/a/b/', segments: ['a', 'b'] })
  })

  it('takes no path that two servers could read in two ways', () => {
    const refused = [
      '',
      'a',
      '/a//b',
      '/a\\b',
      '/a;b',
      '/a%2fb',
      '/a%2Fb',
      '/a%5cb',
      '/%2e/a',
      '/a%3bb',
      '/a%252e',
      '/a%',
      '/a%g0',
      '/a%00',
      '/a%7F',
      '/a\n',
      '/é',
      '/%ff',
      '/%c0%ae',
      '/%ed%a0%80',
      '/%e2%80%a5',
      '/%ef%bc%8f',
      '/..',
      '/a/../..',
      '/a?b',
      '/a#b',
    ]
    for (const raw of refused) assert.equal(spelled(raw), undefined, raw)
  })

  it('reads its own spelling as the same, with no dot segment in it, whatever it is given', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2F',
      '%61',
      '%C3%A9',
      'a',
      'B',
      '~',
      ';',
      '%',
      '\\',
      '%e2%80%a5',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const path = spelled(`/${pieces.join('')}`)
        if (path === undefined) return
        assert.equal(spelled(path), path)
        assert.ok(
          !decodeURIComponent(path)
            .split(/[/\\]/)
            .some((segment) => segment === '..' || segment === '.'),
        )
      }),
    )
  })
})
