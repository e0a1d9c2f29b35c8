import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Refusal } from '../src/gateway/domain.ts'
import { SECRET, startHttpScene, type HttpScene } from './http-scene.ts'

type Headers = Readonly<Record<string, string | readonly string[]>>

describe('what an HTTP target answers', () => {
  let masked: HttpScene
  let open: HttpScene
  before(async () => {
    masked = await startHttpScene()
    open = await startHttpScene({ target: { sensitive: {}, detect: [] } })
  })
  after(async () => {
    await masked?.[Symbol.asyncDispose]()
    await open?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    for (const { routes, received } of [masked, open]) {
      routes.clear()
      received.length = 0
    }
  })
  const answers = (scene: HttpScene, status: number, headers: Headers, body?: string | Buffer): void =>
    void scene.routes.set('GET /v1/a', (_request: unknown, response: ServerResponse) => {
      response.writeHead(status, headers as Record<string, string | string[]>).end(body)
    })
  const JSON_TYPE = { 'content-type': 'application/json' }

  it('keeps every byte that is not hidden, and its status and headers', async () => {
    const body = '{ "customer": {"email" : "a@b.example", "n": 12345678901234567890, "n": 1.0},\n "x": "\\u0041" }'
    answers(masked, 201, { ...JSON_TYPE, 'x-total': '7', 'set-cookie': ['a=1', 'b=2'] }, body)
    const answer = await masked.ask('/billing/v1/a')
    assert.equal(answer.body, body.replace('"a@b.example"', '"***"'))
    assert.deepEqual(
      [answer.status, answer.headers['x-total'], answer.headers['set-cookie']],
      [201, '7', ['a=1', 'b=2']],
    )
    assert.equal(answer.headers['content-length'], String(answer.body.length))
  })

  const withheld: Readonly<Record<string, readonly [Headers, string | Buffer]>> = {
    'JSON that cannot be parsed': [JSON_TYPE, '{"customer":{"email":"ada@shop.example"},}'],
    'JSON that is no UTF-8': [JSON_TYPE, Buffer.from('{"customer":{"email":"ada@shop.example\xff"}}', 'latin1')],
    'JSON in UTF-16': [
      { 'content-type': 'application/json; charset=utf-16' },
      Buffer.from('{"a":"ada@shop.example"}', 'utf16le'),
    ],
    'another type than JSON': [{ 'content-type': 'text/csv' }, 'email\nada@shop.example\n'],
    'no type at all': [{}, '{"customer":{"email":"ada@shop.example"}}'],
    'lines of JSON': [{ 'content-type': 'application/x-ndjson' }, '{"customer":{"email":"ada@shop.example"}}\n'],
    'a compressed answer': [{ ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipSync('{"a":"ada@shop.example"}')],
    'more than 8 MiB': [JSON_TYPE, `["ada@shop.example","${'x'.repeat(8 * 1024 * 1024)}"]`],
    'JSON nested without end': [JSON_TYPE, `${'['.repeat(100_000)}"ada@shop.example"${']'.repeat(100_000)}`],
  }
  for (const [what, [headers, body]] of Object.entries(withheld)) {
    it(`is withheld where something is hidden and it is ${what}`, async () => {
      answers(masked, 200, headers, body)
      const answer = await masked.ask('/billing/v1/a')
      assert.deepEqual([answer.status, answer.headers['content-type']], [502, 'application/problem+json'])
      const { code, message } = JSON.parse(answer.body) as Refusal
      assert.equal(code, 'unavailable')
      assert.match(message, /is withheld\. What was asked for may have been done\.$/)
      assert.ok(!JSON.stringify(await masked.records()).includes('ada@shop'))
    })
  }

  it('passes without a body where something is hidden', async () => {
    for (const [status, headers] of [
      [204, {}],
      [304, { etag: '"1"' }],
      [200, { 'content-type': 'text/plain', 'content-length': '0' }],
    ] as const) {
      answers(masked, status, headers)
      assert.deepEqual((await masked.ask('/billing/v1/a')).status, status)
    }
    masked.routes.set(
      'HEAD /v1/a',
      (_request, response) => void response.writeHead(200, { 'content-length': '99' }).end(),
    )
    const head = await masked.ask('/billing/v1/a', { method: 'HEAD' })
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', undefined])
  })

  it('is searched by detectors in text, headers and names of members', async () => {
    await using scene = await startHttpScene({ target: { sensitive: {}, detect: ['email'] } })
    answers(scene, 200, { 'content-type': 'text/html', 'x-contact': 'ada@shop.example' }, '<b>ada@shop.example</b>')
    const text = await scene.ask('/billing/v1/a')
    assert.deepEqual(
      [text.body, text.headers['x-contact'], text.headers['content-length']],
      ['<b>***</b>', '***', '10'],
    )
    answers(scene, 200, JSON_TYPE, '{"ada@shop.example":["x","\\u0061da@shop.example"]}')
    assert.equal((await scene.ask('/billing/v1/a')).body, '{"***":["x","***"]}')
    answers(scene, 200, { 'content-type': 'text/event-stream' }, 'data: ada@shop.example\n\n')
    assert.equal((await scene.ask('/billing/v1/a')).status, 502)
  })

  it('asks for no compression and for no part where answers are searched', async () => {
    await masked.ask('/billing/v1/a', {
      headers: { 'accept-encoding': 'gzip, br', range: 'bytes=5-', 'if-range': 'x' },
    })
    const { headers } = masked.received[0]!
    assert.deepEqual(
      [headers['accept-encoding'], headers.range, headers['if-range']],
      ['identity', undefined, undefined],
    )
    await open.ask('/billing/v1/a', { headers: { range: 'bytes=5-' } })
    assert.equal(open.received[0]?.headers.range, 'bytes=5-')
  })

  it('goes on as it comes where nothing is searched, however long it is', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    open.routes.set('GET /v1/a', (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      for (let turn = 0; turn < 200; turn++) response.write(chunk)
      response.end()
    })
    assert.equal((await open.ask('/billing/v1/a')).body.length, 200 * chunk.length)
    const pieces = (await open.records()).flatMap((record) => (record.type === 'answer' ? [record] : []))
    assert.ok(pieces.some(({ bytes, digest }) => bytes === undefined && digest !== undefined))
    assert.deepEqual(pieces.at(-1)?.outcome, { status: 'done', code: '200' })
  })

  it('never shows the credential of the gateway, nor how to ask for it', async () => {
    open.routes.set('GET /v1/a', (request, response) => {
      const { authorization = '' } = request.headers
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"', 'x-echo': authorization })
      response.write(`you sent ${authorization.slice(0, 15)}`)
      setTimeout(() => response.end(`${authorization.slice(15)}!`), 30)
    })
    const answer = await open.ask('/billing/v1/a')
    assert.equal(answer.body, `you sent Bearer ${'*'.repeat(SECRET.length)}!`)
    assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, undefined])
    assert.equal(answer.headers['x-echo'], `Bearer ${'*'.repeat(SECRET.length)}`)
    assert.ok(!JSON.stringify(await open.records()).includes(SECRET))
  })

  it('keeps links within the gateway, and takes off what is meant for one hop', async () => {
    const [target] = open.gateway.config.targets
    const host = target?.protocol === 'http' ? target.settings.url.origin : ''
    const links = {
      '/base/v1/b': '/billing/v1/b',
      [`${host}/base/v1/b?x`]: '/billing/v1/b?x',
      'https://other/base/': 'https://other/base/',
      '//evil/base/': '//evil/base/',
    }
    for (const [location, expected] of Object.entries(links)) {
      answers(open, 302, { location, connection: 'x-hop', 'x-hop': '1', 'proxy-authenticate': 'Basic' })
      const { headers } = await open.ask('/billing/v1/a')
      assert.deepEqual(
        [headers.location, headers['x-hop'], headers['proxy-authenticate']],
        [expected, undefined, undefined],
      )
    }
  })
})

describe('an HTTP target that does not answer as one', () => {
  let server: Server
  let says: string | undefined
  let scene: HttpScene
  before(async () => {
    server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => (says === undefined ? socket.destroy() : socket.end(says ?? '')))
    })
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    scene = await startHttpScene({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    server.close()
  })
  const asked = async (): Promise<readonly [number, string]> => {
    const { status, body } = await scene.ask('/billing/v1/a')
    const { code, message } = JSON.parse(body) as Refusal
    assert.equal(code, 'unavailable')
    return [status, message]
  }

  it('gives 502 when it sends garbage or hangs up, and nobody knows what it did', async () => {
    const garbage: readonly (string | undefined)[] = [
      'SSH-2.0-OpenSSH_9.2\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
      undefined,
    ]
    for (const one of garbage) {
      says = one
      const [status, message] = await asked()
      assert.equal(status, 502, one ?? 'it hung up')
      assert.match(message, /^Target billing did not answer \([A-Z_]+\)\. What was asked for may have been done\.$/)
    }
  })

  it('gives 502 when its answer breaks off before it was searched', async () => {
    says = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"customer":'
    assert.equal((await asked())[0], 502)
  })

  it('gives 503 when it cannot be reached: nothing was sent', async () => {
    await using down = await startHttpScene({ url: 'http://127.0.0.1:1' })
    const { status, body } = await down.ask('/billing/v1/a')
    assert.deepEqual([status, (JSON.parse(body) as Refusal).code], [503, 'unavailable'])
    assert.match((JSON.parse(body) as Refusal).message, /\(ECONNREFUSED\)\. Nothing was sent\.$/)
    const last = (await down.records()).findLast((record) => record.type === 'answer')
    assert.deepEqual(last?.outcome, { status: 'failed', code: 'ECONNREFUSED' })
  })
})
