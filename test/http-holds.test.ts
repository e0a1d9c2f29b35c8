import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Refusal } from '../src/gateway/domain.ts'
import { startHttpScene, type Answer, type Asking, type HttpScene } from './http-scene.ts'
import { within } from './waiting.ts'

const done = (_request: unknown, response: ServerResponse) =>
  void response.writeHead(201, { 'content-type': 'application/json' }).end('{"refund":1}')
const refusalOf = ({ body }: Answer): Refusal => JSON.parse(body) as Refusal

describe('a held HTTP request', () => {
  let scene: HttpScene
  let agent: string
  let approver: string
  before(async () => {
    scene = await startHttpScene()
    agent = await scene.token()
    approver = await scene.token({ kind: 'User', name: 'mia', groups: ['finance'] })
  })
  after(() => scene?.[Symbol.asyncDispose]())
  beforeEach(() => {
    scene.received.length = 0
    scene.routes.set('POST /v1/refunds', done)
  })

  const refund = (amount: number, more: Asking = {}): Promise<Answer> => {
    const headers = { 'content-type': 'application/json', ...more.headers }
    const body = JSON.stringify({ amount })
    return scene.ask('/billing/v1/refunds', { method: 'POST', token: agent, body, ...more, headers })
  }
  type Listed = { readonly id: string; readonly state: string; readonly text: string }
  const asked = async (text: string): Promise<Listed | undefined> => {
    const { approvals } = (await scene.api(approver, '/api/v1/approvals')) as { approvals?: readonly Listed[] }
    return approvals?.find((one) => one.state === 'pending' && one.text.includes(text))
  }
  const heldAs = async (text: string): Promise<string> => {
    await within('somebody is asked', async () => (await asked(text)) !== undefined, 3_000)
    return (await asked(text))!.id
  }
  const vote = (id: string, way: 'approve' | 'reject', body = {}): Promise<unknown> =>
    scene.api(approver, `/api/v1/approvals/${id}/${way}`, body)

  it('waits with its connection open, runs once when approved, and the approver has seen all of it', async () => {
    const waiting = refund(10)
    const id = await heldAs('{"amount":10}')
    assert.equal(scene.received.length, 0)
    await vote(id, 'approve')
    assert.equal((await waiting).status, 201)
    assert.deepEqual(
      scene.received.map(({ body }) => body),
      ['{"amount":10}'],
    )
    const decisions = (await scene.records()).flatMap((record) =>
      record.type === 'operation' ? [record.decision] : [],
    )
    assert.deepEqual(decisions, ['hold', 'allow'])
  })

  it('is refused when rejected, with the reason', async () => {
    const waiting = refund(20)
    await vote(await heldAs('{"amount":20}'), 'reject', { reason: 'not this customer' })
    const answer = await waiting
    assert.deepEqual([answer.status, refusalOf(answer).code], [403, 'approval_rejected'])
    assert.match(refusalOf(answer).message, /not this customer/)
    assert.equal(scene.received.length, 0)
  })

  it('gives a ticket at once to a client that asks for one; the same request then passes once, another does not', async () => {
    const headers = { prefer: 'respond-async' }
    const ticket = await refund(30, { headers })
    const { approval, code } = refusalOf(ticket)
    assert.deepEqual([ticket.status, code, ticket.headers['retry-after']], [202, 'approval_required', '30'])
    assert.equal(ticket.headers['preference-applied'], 'respond-async')
    assert.equal(ticket.headers.location, approval?.url)
    await vote(approval!.id, 'approve')
    assert.equal((await refund(31, { headers })).status, 202)
    assert.equal((await refund(30, { headers: { ...headers, 'x-tenant': 'other' } })).status, 202)
    assert.equal((await refund(30, { headers: { ...headers, 'x-request-id': 'r2' } })).status, 201)
    assert.equal((await refund(30, { headers })).status, 202)
    assert.deepEqual(
      scene.received.map(({ body }) => body),
      ['{"amount":30}'],
    )
  })

  it('is refused with a ticket when nobody answers in time', async () => {
    const answer = await refund(40)
    assert.deepEqual(
      [answer.status, refusalOf(answer).code, answer.headers['retry-after']],
      [403, 'approval_required', '30'],
    )
    assert.match(refusalOf(answer).approval?.id ?? '', /^apr_/)
    assert.equal(scene.received.length, 0)
  })
})
