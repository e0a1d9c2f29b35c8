import assert from 'node:assert/strict'
import { Agent, type ServerResponse } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Refusal } from '../src/gateway/domain.ts'
import { renderer } from '../src/protocols/http/render.ts'
import { SECRET, startHttpScene, type Answer, type HttpScene } from './http-scene.ts'
import { within } from './waiting.ts'

type Problem = Refusal & {
  readonly status: number
  readonly type: string
  readonly title: string
  readonly detail: string
}

const json = (value: unknown) => (_request: unknown, response: ServerResponse) =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))

/** The problem that an answer must be. */
function problemOf({ headers, body }: Answer): Problem {
  assert.equal(headers['content-type'], 'application/problem+json')
  return JSON.parse(body) as Problem
}

/** One connection that is kept. */
function oneConnection(): Agent & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

describe('HTTP through the gateway', () => {
  let scene: HttpScene
  before(async () => {
    scene = await startHttpScene()
  })
  after(() => scene?.[Symbol.asyncDispose]())
  beforeEach(() => {
    scene.received.length = 0
    scene.routes.clear()
  })
  const trail = async (): Promise<readonly string[]> =>
    (await scene.records()).flatMap((record) => {
      if (record.type === 'operation') return [`${record.decision} ${record.text.split('\n')[0]}`]
      return 'session' in record && record.session ? [record.type] : []
    })

  it('reaches the target with its credential, and the answer comes back masked', async () => {
    const customers = [{ id: 1, email: 'ada@shop.example', note: 'paid with 4111 1111 1111 1111' }]
    scene.routes.set('GET /v1/customers', json({ customers }))
    const token = await scene.token()
    const answer = await scene.ask('/billing/v1/customers?year=2026', {
      token,
      headers: { accept: 'application/json' },
    })
    assert.equal(answer.status, 200)
    assert.deepEqual(JSON.parse(answer.body), { customers: [{ id: 1, email: '***', note: 'paid with ***' }] })
    const [got] = scene.received
    assert.equal(got?.url, '/base/v1/customers?year=2026')
    assert.equal(got?.headers.authorization, `Bearer ${SECRET}`)
    assert.equal(got?.headers.accept, 'application/json')
    assert.ok(!JSON.stringify(scene.received).includes(token))
    const records = JSON.stringify(await scene.records())
    assert.ok(!records.includes(SECRET) && !records.includes(token) && !records.includes('ada@shop'))
  })

  it('is recorded in order: opened, decided, answered, revoked, closed', async () => {
    const before = (await trail()).length
    scene.routes.set('GET /v1/a', json({ ok: true }))
    const token = await scene.token()
    using agent = oneConnection()
    assert.equal((await scene.ask('/billing/v1/a', { token, agent })).status, 200)
    assert.equal((await scene.ask('/billing/v1/a', { token, agent, method: 'DELETE' })).status, 403)
    agent.destroy()
    await within('the lease is revoked', async () => (await trail()).slice(before).includes('session.closed'))
    const expected = [
      'session.opened',
      'allow GET /v1/a',
      'answer',
      'deny DELETE /v1/a',
      'lease.revoked',
      'session.closed',
    ]
    assert.deepEqual((await trail()).slice(before), expected)
    const answer = (await scene.records()).findLast((record) => record.type === 'answer')
    const [head, body] = renderer()(Buffer.from(answer?.bytes ?? '', 'base64'), answer?.operation)
    assert.equal(head && 'status' in head && head.status, 200)
    assert.deepEqual(body, { body: '{"ok":true}' })
  })

  it('is refused as a problem that says what to do, and the connection goes on', async () => {
    scene.routes.set('GET /v1/a', json([1]))
    const token = await scene.token()
    using agent = oneConnection()
    const denied = await scene.ask('/billing/v1/customers/7', { token, agent, method: 'DELETE' })
    assert.equal(denied.status, 403)
    const problem = problemOf(denied)
    assert.deepEqual([problem.v, problem.code, problem.status, problem.type], [1, 'denied', 403, 'about:blank'])
    assert.match(problem.detail, /^No rule permits http\.delete on Path billing\/v1\/customers\/7 /)
    assert.match(problem.operation ?? '', /^op_/)
    assert.equal(scene.received.length, 0)
    assert.equal((await scene.ask('/billing/v1/a', { token, agent })).body, '[1]')
    const opened = (await scene.records()).filter(({ type }) => type === 'session.opened')
    assert.equal(new Set(opened.slice(-1).map((record) => 'session' in record && record.session)).size, 1)
    const exports = problemOf(await scene.ask('/billing/v1/exports', { token, agent }))
    assert.deepEqual(
      [exports.rule, exports.remedy],
      ['no-exports', [{ do: 'change', hint: 'Ask for one year at a time.' }]],
    )
    assert.equal((await scene.ask('/billing/v1/exports?year=2026', { token, agent })).status, 404)
  })

  it('needs a token that is good', async () => {
    const without = await scene.raw('GET /billing/v1/a HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n')
    assert.match(without, /^HTTP\/1\.1 401 /)
    assert.match(without, /\r\nwww-authenticate: Bearer realm="sallyport"\r\n/i)
    const bad = await scene.ask('/billing/v1/a', { token: 'hunter2' })
    assert.deepEqual([bad.status, problemOf(bad).code], [401, 'identity'])
    assert.ok(!bad.body.includes('hunter2'))
    const basic = await scene.ask('/billing/v1/a', { headers: { authorization: 'Basic YTpi' } })
    assert.equal(basic.status, 401)
    assert.equal(scene.received.length, 0)
  })

  it('says the same of a target that is not there and of one that is not permitted', async () => {
    const stranger = await scene.token({ groups: [] })
    const missing = problemOf(await scene.ask('/payroll/v1/a', { token: stranger }))
    const closed = problemOf(await scene.ask('/billing/v1/a', { token: stranger }))
    assert.deepEqual([missing.status, closed.status], [403, 403])
    assert.equal(JSON.stringify(missing).replaceAll('payroll', 'billing'), JSON.stringify(closed))
  })

  it('ends the oldest session of a connection that brings ever new tokens', async () => {
    scene.routes.set('GET /v1/a', json([1]))
    using agent = oneConnection()
    const before = (await trail()).length
    for (let turn = 0; turn < 10; turn++) assert.equal((await scene.ask('/billing/v1/a', { agent })).status, 200)
    const open = async (): Promise<number> => {
      const since = (await trail()).slice(before)
      return (
        since.filter((step) => step === 'session.opened').length -
        since.filter((step) => step === 'session.closed').length
      )
    }
    await within('two of them have ended', async () => (await open()) === 8)
  })

  it('keeps the sessions of two tokens on one connection apart', async () => {
    scene.routes.set('GET /v1/a', json([1]))
    using agent = oneConnection()
    const [allowed, stranger] = [await scene.token(), await scene.token({ name: 'other', groups: [] })]
    const statuses = []
    for (const token of [allowed, stranger, allowed])
      statuses.push((await scene.ask('/billing/v1/a', { token, agent })).status)
    assert.deepEqual(statuses, [200, 403, 200])
  })

  it('sends a body once, whole, with its length, and takes no more than 1 MiB', async () => {
    scene.routes.set('POST /v1/notes', json({ ok: true }))
    const body = JSON.stringify({ text: 'größer' })
    const headers = { 'content-type': 'application/json', 'x-tenant': 't1', cookie: 'session=client-secret' }
    assert.equal((await scene.ask('/billing/v1/notes', { method: 'POST', body, headers })).status, 200)
    assert.deepEqual([scene.received.length, scene.received[0]?.body], [1, body])
    const record = (await scene.records()).findLast((entry) => entry.type === 'operation')
    assert.match(
      record?.text ?? '',
      /^POST \/v1\/notes\ncontent-type: application\/json\nx-tenant: t1\ncookie: \[SHA-256 /,
    )
    assert.ok(record?.text.endsWith(`\n\n${body}`) && record.effect === 'final')
    assert.ok(!JSON.stringify(await scene.records()).includes('client-secret'))
    const large = await scene.ask('/billing/v1/notes', { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) })
    assert.deepEqual([large.status, problemOf(large).code, large.headers.connection], [413, 'too_large', 'close'])
    assert.equal(scene.received.length, 1)
    assert.equal((await scene.records()).findLast((entry) => entry.type === 'operation')?.decision, 'deny')
  })

  it('answers requests on one connection in their order, whatever the target takes', async () => {
    scene.routes.set(
      'GET /v1/slow',
      (_request, response) => void setTimeout(() => json('slow')(_request, response), 60),
    )
    scene.routes.set('GET /v1/fast', json('fast'))
    const head = `Host: gw\r\nAuthorization: Bearer ${await scene.token()}\r\n`
    const [slow, fast] = ['slow', 'fast'].map((name) => `GET /billing/v1/${name} HTTP/1.1\r\n${head}`)
    const said = await scene.raw(`${slow}\r\n${fast}Connection: close\r\n\r\n`)
    assert.deepEqual(said.match(/"slow"|"fast"/g), ['"slow"', '"fast"'])
  })

  it('ends an idle connection when the gateway drains', async () => {
    const other = await startHttpScene()
    other.routes.set('GET /v1/a', json([1]))
    using agent = oneConnection()
    assert.equal((await other.ask('/billing/v1/a', { agent })).status, 200)
    await other[Symbol.asyncDispose]()
  })
})
