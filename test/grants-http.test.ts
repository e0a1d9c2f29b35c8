import assert from 'node:assert/strict'
import { Agent, type ServerResponse } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import { GivenGrantShape } from '../src/admin/grant-shapes.ts'
import type { Refusal } from '../src/gateway/domain.ts'
import type { Given } from './grants-scene.ts'
import { SECRET, startHttpScene, type Answer, type HttpScene } from './http-scene.ts'
import { within } from './waiting.ts'

describe('the credential of a grant, over HTTP', () => {
  let scene: HttpScene
  before(async () => {
    scene = await startHttpScene()
  })
  after(() => scene?.[Symbol.asyncDispose]())
  beforeEach(() => {
    scene.received.length = 0
    scene.routes.clear()
    for (const route of ['GET /v1/customers', 'POST /v1/notes'])
      scene.routes.set(route, (_, response: ServerResponse) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end('"fine"')
      })
  })

  const ask = async (more: object = {}): Promise<Given> => {
    const wish = { target: 'billing', purpose: 'invoice 17', ...more }
    return GivenGrantShape.parse(await scene.api(await scene.token(), '/api/v1/grants', wish))
  }
  const revoke = async (id: string): Promise<void> => {
    const headers = { authorization: `Bearer ${await scene.token()}` }
    const url = `http://127.0.0.1:${scene.gateway.admin.port}/api/v1/grants/${id}`
    assert.equal((await fetch(url, { method: 'DELETE', headers })).status, 200)
  }
  const codeOf = ({ status, body }: Answer): unknown => [status, (JSON.parse(body) as Refusal).code]

  it('is taken as a bearer token, and as user and password', async () => {
    const { user, password, connect } = await ask()
    assert.deepEqual(connect, { protocol: 'http', url: `http://127.0.0.1:${scene.gateway.http!.port}/billing` })
    assert.equal((await scene.ask('/billing/v1/customers', { token: `${user}.${password}` })).body, '"fine"')
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    assert.equal((await scene.ask('/billing/v1/customers', { headers: { authorization } })).body, '"fine"')
    assert.deepEqual(
      scene.received.map(({ headers }) => headers.authorization),
      [`Bearer ${SECRET}`, `Bearer ${SECRET}`],
    )
    const opened = (await scene.records()).filter((entry) => entry.type === 'session.opened' && entry.grant === user)
    assert.ok(opened.length > 0)
  })

  it('is refused alike when the password is wrong, the grant has ended, or there never was one', async () => {
    const { user, password } = await ask()
    const ended = await ask()
    await revoke(ended.id)
    const none = 'grt_0190f6a2-0000-7000-8000-000000000000'
    const heard: string[] = []
    for (const token of [
      `${user}.wrong`,
      `${user}.${password}.x`,
      user,
      `${none}.${password}`,
      `${ended.id}.${ended.password}`,
    ]) {
      const answer = await scene.ask('/billing/v1/customers', { token })
      assert.deepEqual(codeOf(answer), [401, 'identity'])
      heard.push(answer.body)
    }
    assert.equal(new Set(heard).size, 1)
    for (const login of [`${user}:wrong`, `ada:${password}`, user]) {
      const authorization = `Basic ${Buffer.from(login).toString('base64')}`
      assert.deepEqual(codeOf(await scene.ask('/billing/v1/customers', { headers: { authorization } })), [
        401,
        'identity',
      ])
    }
    assert.deepEqual(scene.received, [])
  })

  it('is for its own target and its operations only', async () => {
    const { user, password } = await ask({ operations: ['http.get'] })
    const token = `${user}.${password}`
    assert.deepEqual(codeOf(await scene.ask('/other/v1/customers', { token })), [403, 'grant'])
    assert.equal((await scene.ask('/billing/v1/customers', { token })).status, 200)
    const post = await scene.ask('/billing/v1/notes', { method: 'POST', body: '{}', token })
    assert.deepEqual(codeOf(post), [403, 'grant'])
    assert.match(post.body, /sallyport request billing --purpose … --operations http\.get,http\.post/)
    assert.equal(scene.received.length, 1)
  })

  it('ends with its grant, also on a connection that is kept and in the middle of an answer', async () => {
    const { id, user, password } = await ask()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const token = `${user}.${password}`
    assert.equal((await scene.ask('/billing/v1/customers', { token, agent })).status, 200)
    scene.routes.set('GET /v1/customers', () => undefined)
    const unanswered = scene.ask('/billing/v1/customers', { token, agent })
    await within('the target has it', async () => scene.received.length === 2)
    await revoke(id)
    assert.deepEqual(codeOf(await unanswered), [403, 'grant'])
    assert.deepEqual(codeOf(await scene.ask('/billing/v1/customers', { token, agent })), [401, 'identity'])
    agent.destroy()
  })
})
