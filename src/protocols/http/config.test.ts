import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readContext } from '../../config/references.ts'
import { httpConfig } from './config.ts'

const environment = { KEY: 'key-1', LOGIN: 'user:pass', BAD: 'a\nb' }
const schema = httpConfig(readContext('/', environment))
const url = 'https://billing.internal/api'
const lease = { bearer: 'env:KEY' }

describe('the http part of a target', () => {
  it('is a URL, a lease, and what is sensitive', () => {
    const config = schema.parse({ url, lease, sensitive: { pii: ['$.customers[*].email'] }, detect: ['email'] })
    assert.deepEqual([config.url.href, config.lease.from, config.detect], [url, 'bearer', ['email']])
    assert.equal(config.sensitive['pii']?.[0]?.length, 3)
    assert.equal(schema.parse({ url, lease: { basic: 'env:LOGIN' } }).lease.from, 'basic')
    const header = schema.parse({ url, lease: { header: { name: 'X-Api-Key', value: 'env:KEY' } } }).lease
    assert.equal(header.from === 'header' && header.name, 'x-api-key')
  })

  const wrong: Readonly<Record<string, object>> = {
    'a URL with a password': { url: 'https://u:hunter2@billing', lease },
    'a URL with a query': { url: `${url}?a=1`, lease },
    'a URL of another kind': { url: 'ftp://billing', lease },
    'no lease': { url },
    'two leases': { url, lease: { bearer: 'env:KEY', basic: 'env:LOGIN' } },
    'a literal secret': { url, lease: { bearer: 'hunter2' } },
    'a secret of two lines': { url, lease: { bearer: 'env:BAD' } },
    'a login without a password': { url, lease: { basic: 'env:KEY' } },
    'a header of the message itself': { url, lease: { header: { name: 'Host', value: 'env:KEY' } } },
    'a lease that is not built': { url, lease: { 'oauth-client': {} } },
    'a path that is none': { url, lease, sensitive: { pii: ['$..email'] } },
    'an unknown key': { url, lease, sensitiv: {} },
  }
  for (const [what, given] of Object.entries(wrong)) {
    it(`is refused with ${what}, without repeating it`, () => {
      const { error } = schema.safeParse(given)
      assert.ok(error)
      assert.ok(!error.message.includes('hunter2'))
    })
  }
})
