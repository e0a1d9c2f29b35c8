import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { startHttpScene, type HttpScene } from './http-scene.ts'
import { within } from './waiting.ts'

describe('hostile HTTP', () => {
  let scene: HttpScene
  let token: string
  before(async () => {
    scene = await startHttpScene({ target: { sensitive: {}, detect: [] } })
    token = await scene.token()
  })
  after(() => scene?.[Symbol.asyncDispose]())
  beforeEach(() => void (scene.received.length = 0))

  const request = (line: string, ...fields: readonly string[]): string =>
    [`${line} HTTP/1.1`, 'Host: gw', `Authorization: Bearer ${token}`, 'Connection: close', ...fields, '', ''].join(
      '\r\n',
    )
  const statusOf = (said: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? 0)

  const paths = [
    '/billing/v1/..%2fadmin',
    '/billing/v1/..%2Fadmin',
    '/billing/v1/%2e%2e/admin',
    '/billing/v1/.%2e/admin',
    '/billing/v1/..%5cadmin',
    '/billing/v1/..\\admin',
    '/billing/v1/..;/admin',
    '/billing/v1/a;x=/../../admin',
    '/billing/v1/%252e%252e/admin',
    '/billing/v1/..%252fadmin',
    '/billing/v1//admin',
    '/billing//admin',
    '//billing/v1/a',
    '/billing/v1/a%00',
    '/billing/v1/a%0d%0aX:1',
    '/billing/v1/%c0%ae%c0%ae/admin',
    '/billing/v1/%e2%80%a5/admin',
    '/billing/v1/%ef%bc%8fadmin',
    '/billing/v1/a%',
    '/billing/v1/a%zz',
    '/billing/../../etc',
    '/billing/../payroll/v1',
    '/billing/v1/a#/../../admin',
    '/billing/v1/a b',
    '/billing/v1/{a}',
    '/%62illing/v1/a',
    '/billing%2fv1/a',
    '/billing/v1/a?x=1;y=2',
    '/billing/v1/a?x=1&x=2',
    '/billing/v1/a?x=%00',
    '/billing/v1/a?x=%ff',
    '/billing/v1/a?%',
    '/billing/v1/a?_method=DELETE',
    'http://elsewhere/billing/v1/a',
    'billing/v1/a',
    '*',
    '/',
    '',
  ]
  for (const path of paths) {
    it(`refuses the path ${JSON.stringify(path)}`, async () => {
      const said = await scene.raw(request(`GET ${path}`))
      assert.equal(statusOf(said), 400, said)
      assert.deepEqual(scene.received, [])
    })
  }

  it('leads from the gateway’s own paths to no target and to nothing of the admin listener', async () => {
    scene.routes.set('GET /v1/invoices', (_, response) => response.end('secret'))
    const spellings = [
      '/oauth/../billing/v1/invoices',
      '/oauth/%2e%2e/billing/v1/invoices',
      '/oauth/..%2fbilling/v1/invoices',
      '/oauth//billing/v1/invoices',
      '/oauth/../api/v1/whoami',
      '/.well-known/../api/v1/whoami',
      '/oauth?/../api/v1/whoami',
      '/.well-known/openid-configuration',
    ]
    for (const path of spellings) {
      const said = await scene.raw(request(`GET ${path}`))
      assert.equal(statusOf(said), 404, `${path}: ${said}`)
    }
    for (const path of [
      '/oauth\\..\\api/v1/whoami',
      'http://gw/oauth/jwks',
      '/%6fauth/jwks',
      '/oauth.x/jwks',
      '//oauth/jwks',
      '/api/v1/whoami',
    ]) {
      const said = await scene.raw(request(`GET ${path}`))
      assert.ok([400, 403].includes(statusOf(said)), `${path}: ${said}`)
    }
    assert.deepEqual(scene.received, [])
    assert.equal(statusOf(await scene.raw(request('GET /oauth/jwks'))), 200)
  })

  it('answers the gateway’s own paths in turn with those of targets on one connection', async () => {
    const get = (path: string): string => request(`GET ${path}`).replace('Connection: close\r\n', '')
    scene.routes.set('GET /v1/slow', (_, response) => setTimeout(() => response.end('of the target'), 100))
    const said = await scene.raw(get('/billing/v1/slow') + get('/oauth/jwks') + request('GET /billing/v1/slow'))
    assert.match(said, /of the target.*"keys".*of the target/s)
    const hostless = 'GET /oauth/jwks HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'
    assert.equal(statusOf(await scene.raw(hostless)), 400)
  })

  it('judges, records and sends one spelling of a path', async () => {
    const spellings = [
      '/billing/v1/%61dmin',
      '/billing/v1/x/../admin',
      '/billing/v1/./admin',
      'http://gw/billing/v1/admin',
    ]
    for (const path of spellings) await scene.raw(request(`GET ${path}`))
    assert.deepEqual(
      scene.received.map(({ url }) => url),
      spellings.map(() => '/base/v1/admin'),
    )
    const operations = (await scene.records()).flatMap((record) => (record.type === 'operation' ? [record] : []))
    for (const { text, touches } of operations.slice(-spellings.length)) {
      assert.deepEqual([text, touches], ['GET /v1/admin', ['http.get on Path billing/v1/admin']])
    }
    for (const path of ['/billing/v1/../admin', '/billing/admin', '/billing', '/billing?x']) {
      assert.equal(statusOf(await scene.raw(request(`GET ${path}`))), 403, path)
    }
    assert.equal(scene.received.length, spellings.length)
  })

  it('records what it could not read', async () => {
    await scene.raw(request('GET /billing/v1/..%2fadmin'))
    const last = (await scene.records()).findLast((record) => record.type === 'operation')
    assert.deepEqual([last?.text, last?.decision, last?.refusal?.code], ['GET /v1/..%2fadmin', 'deny', 'unreadable'])
  })

  for (const method of ['TRACE', 'CONNECT', 'PROPFIND', 'LINK', 'PURGE', 'M-SEARCH', 'QUERY', 'get']) {
    it(`does not pass ${method}`, async () => {
      assert.notEqual(statusOf(await scene.raw(request(`${method} /billing/v1/a`))), 200)
      assert.deepEqual(scene.received, [])
    })
  }

  const heads: Readonly<Record<string, readonly string[]>> = {
    'two tokens': ['Authorization: Bearer other'],
    'two hosts': ['Host: evil'],
    'two types': ['Content-Type: text/plain', 'Content-Type: application/json'],
    'another method': ['X-HTTP-Method-Override: DELETE'],
    'another method by its CGI twin': ['X_HTTP_Method_Override: DELETE'],
    'another path': ['X-Original-URL: /admin'],
    'a folded header': ['X-A: b', ' c: d'],
    'a control character': ['X-A: b\x01'],
    'a bare CR': ['X-A: b\rX-B: c'],
    'a name with a space': ['X-A : b'],
    'two lengths': ['Content-Length: 0', 'Content-Length: 5'],
    'a length and chunks': ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    'an unknown coding': ['Transfer-Encoding: gzip, chunked'],
  }
  for (const [what, fields] of Object.entries(heads)) {
    it(`refuses a head with ${what}`, async () => {
      const said = await scene.raw(`${request('GET /billing/v1/a', ...fields)}0\r\n\r\n`)
      assert.equal(statusOf(said), 400, said)
      assert.deepEqual(scene.received, [])
    })
  }

  it('refuses a head larger than 24 KiB, and chunks that are none', async () => {
    assert.equal(statusOf(await scene.raw(request('GET /billing/v1/a', `X-A: ${'a'.repeat(30_000)}`))), 431)
    const chunks = `${request('POST /billing/v1/notes', 'Transfer-Encoding: chunked')}5\r\nhello\r\nZZ\r\n`
    assert.notEqual(statusOf(await scene.raw(chunks)), 200)
    assert.deepEqual(scene.received, [])
  })

  it('sends on only what is meant for the target', async () => {
    const fields = [
      'Connection: x-mine, authorization, host',
      'X-Mine: 1',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: x',
      'TE: trailers',
      'Proxy-Authorization: Basic eA==',
      'X-Forwarded-For: 10.0.0.1',
      'Forwarded: for=10.0.0.1',
      'X_Sallyport_User: admin',
      'X-Sallyport-User: admin',
      '__proto__: x',
      'constructor: y',
      'Expect: 100-continue',
      'Accept: a/b',
      'X-Own: kept',
    ]
    await scene.raw(request('GET /billing/v1/a', ...fields))
    const names = scene.received[0]?.rawHeaders
      .filter((_name, place) => place % 2 === 0)
      .map((name) => name.toLowerCase())
    assert.deepEqual(names?.sort(), [
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'constructor',
      'host',
      'x-own',
    ])
  })

  it('does not take the body of one request for the next one', async () => {
    const inner = request('GET /billing/v1/smuggled')
    await scene.raw(request('GET /billing/v1/a', 'Expect: 100-continue', `Content-Length: ${inner.length}`) + inner)
    assert.deepEqual(
      scene.received.map(({ url, body }) => [url, body]),
      [['/base/v1/a', inner]],
    )
  })

  it('ends a connection that asks faster than it listens', async () => {
    const socket = scene.dial()
    const closed = new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))
    socket.write(request('GET /billing/v1/a').replace('Connection: close\r\n', '').repeat(60))
    await closed
    await within(
      'its session is closed',
      async () => {
        const records = await scene.records()
        const count = (type: string): number => records.filter((record) => record.type === type).length
        return count('session.opened') === count('session.closed')
      },
      3_000,
    )
    assert.ok(scene.received.length < 60)
  })
})
