import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { findGateway } from './gateway-address.ts'

describe('the way to the gateway', () => {
  let dir = ''
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'address-'))
    writeFileSync(join(dir, 'tls.crt'), 'PEM')
  })
  after(() => rmSync(dir, { recursive: true }))

  const inFile = async (yaml: string): Promise<string> => {
    writeFileSync(join(dir, 'sallyport.yaml'), yaml)
    const { url, ca, name } = await findGateway(join(dir, 'sallyport.yaml'), {})
    return [url.origin, ca, name].filter(Boolean).join(' ')
  }

  it('is the admin listener of the config, by plain http on this machine', async () => {
    assert.equal(await inFile('version: 1\n'), 'http://127.0.0.1:8420')
    assert.equal(await inFile('listen: { admin: "127.0.0.1:99" }'), 'http://127.0.0.1:99')
    assert.equal(await inFile('listen: { admin: "[::1]:99" }'), 'http://[::1]:99')
    assert.equal(await inFile('listen: { admin: "0.0.0.0:99" }'), 'http://127.0.0.1:99')
    assert.equal(await inFile('listen: { admin: "[::]:99" }'), 'http://[::1]:99')
    assert.equal(await inFile('{"listen":{"admin":{"at":"localhost:99","public":"x:1"}}}'), 'http://localhost:99')
  })

  it('is https with the certificate of the config elsewhere', async () => {
    const yaml =
      'url: https://gw.example.com:8443\ntls: { cert: ./tls.crt, key: ./k }\nlisten: { admin: "10.0.0.1:99" }'
    assert.equal(await inFile(yaml), 'https://10.0.0.1:99 PEM gw.example.com')
    assert.equal(await inFile('listen: { admin: "db.internal:99" }'), 'https://db.internal:99')
  })

  it('refuses a listener that cannot be an address', async () => {
    for (const admin of ['"99"', '"host:0"', '"a/b@c:99"', '"[::1:99"', '"host:"', '7']) {
      await assert.rejects(inFile(`listen: { admin: ${admin} }`), { code: 'config' }, admin)
    }
    await assert.rejects(findGateway(join(dir, 'missing.yaml'), {}), { code: 'config' })
  })

  it('takes --config before SALLYPORT_CONFIG before SALLYPORT_URL', async () => {
    const one = join(dir, 'one.yaml')
    const two = join(dir, 'two.yaml')
    writeFileSync(one, 'listen: { admin: "127.0.0.1:1" }')
    writeFileSync(two, 'listen: { admin: "127.0.0.1:2" }')
    const environment = { SALLYPORT_CONFIG: two, SALLYPORT_URL: 'https://three.example.com' }
    assert.equal((await findGateway(one, environment)).url.port, '1')
    assert.equal((await findGateway(undefined, environment)).url.port, '2')
    const { url } = await findGateway(undefined, { SALLYPORT_URL: environment.SALLYPORT_URL })
    assert.equal(url.origin, 'https://three.example.com')
  })

  it('never sends a token in clear to another machine', async () => {
    assert.equal((await findGateway(undefined, { SALLYPORT_URL: 'http://localhost:1' })).url.protocol, 'http:')
    for (const url of [
      'http://gw.example.com',
      'http://127.0.0.1.example.com',
      'ftp://127.0.0.1',
      'gw.example.com',
      '',
    ]) {
      await assert.rejects(findGateway(undefined, { SALLYPORT_URL: url }), { code: 'usage' }, url)
    }
    await assert.rejects(findGateway(undefined, {}), { code: 'usage' })
  })
})
