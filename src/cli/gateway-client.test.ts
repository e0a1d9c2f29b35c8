import 'reflect-metadata'
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { PemConverter, X509CertificateGenerator } from '@peculiar/x509'
import { gatewayClient } from './gateway-client.ts'

async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=somewhere.else',
    keys,
    signingAlgorithm: algorithm,
  })
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { key: PemConverter.encode(key, 'PRIVATE KEY'), cert: cert.toString('pem') }
}

describe('the client of the admin API', () => {
  let server: Server
  let url: URL
  let respond: RequestListener = () => undefined
  before(async () => {
    server = createServer(await selfSigned(), (request, response) => respond(request, response)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/base/`)
  })
  after(() => server.close())

  it("accepts this machine's own self-signed certificate and sends the token in the header only", async () => {
    const seen: unknown[] = []
    respond = ({ method, url, headers }, response) => {
      seen.push([method, url, headers.authorization])
      response.end('{"a":1}')
    }
    assert.deepEqual(await gatewayClient({ url }, 'secret').get('/api/v1/x?y=1'), { body: { a: 1 } })
    assert.deepEqual(seen, [['GET', '/base/api/v1/x?y=1', 'Bearer secret']])
  })

  it('follows no redirect with its token', async () => {
    respond = (_, response) => response.writeHead(302, { location: 'https://example.com/' }).end('{}')
    await assert.rejects(gatewayClient({ url }, 'secret').get('/x'), { code: 'closed' })
  })

  it('gives the reason and the remedy of a problem', async () => {
    const problem = { code: 'denied', message: 'No.', remedy: [{ do: 'ask', hint: 'ask a dba' }], more: 1 }
    respond = (_, response) => response.writeHead(403).end(JSON.stringify(problem))
    assert.deepEqual(await gatewayClient({ url }, 'secret').post('/x', {}), {
      refused: { status: 403, code: 'denied', message: 'No.', remedy: [{ do: 'ask', hint: 'ask a dba' }] },
    })
  })

  it('names no token in what it throws', async () => {
    respond = (_, response) => response.destroy()
    await assert.rejects(gatewayClient({ url }, 'canary-token').get('/x'), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /canary-token/)
      return true
    })
  })
})
