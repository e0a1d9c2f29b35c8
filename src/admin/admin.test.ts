import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Approvals } from '../approvals/approvals.ts'
import { createApprovals } from '../approvals/create-approvals.ts'
import { agent, ann, bob, eve, identity, request, settableClock } from '../approvals/fixtures.ts'
import type { ApprovalId, Identity } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { refuse } from '../gateway/refusals.ts'
import { NO_GRANT_ROUTES } from '../../test/no-grants.ts'
import { openStore, type Store } from '../store/store.ts'
import type { SessionFilter, SessionSummary } from '../store/sessions-index.ts'
import { createAdmin, type AdminOptions } from './admin.ts'

const START = Date.parse('2026-01-01T00:00:00Z')

const callers = {
  agent,
  otherAgent: identity({ kind: 'Agent', subject: 'other', groups: ['dba', 'platform', 'security-team'] }),
  workload: identity({ kind: 'Workload', subject: 'ci', groups: ['dba', 'platform'] }),
  outside: eve,
  approver: bob,
  requester: identity({ subject: 'rita', person: 'rita@example.com', groups: [] }),
  samePerson: { ...ann, provider: 'google', subject: '17' },
  delegated: { ...bob, onBehalfOf: eve },
  auditor: identity({ subject: 'aud', groups: ['security-team'] }),
  operator: identity({ subject: 'ops', groups: ['platform'] }),
} as const satisfies Record<string, Identity>
const reloads = { policy: 'p1', since: START, changed: ['policies'] }
type Caller = keyof typeof callers | 'none' | 'bad'

const session: SessionSummary = {
  id: 'ses_1',
  target: 'orders',
  protocol: 'postgres',
  identity: 'corp/bot',
  kind: 'Agent',
  grant: 'grt_1',
  lease: 'sp_x',
  client: '127.0.0.1:1',
  openedAt: START,
  firstSeq: 1,
  lastSeq: 2,
  operations: 1,
}

describe('the admin API', () => {
  let dir = ''
  let store: Store
  let approvals: Approvals
  let id: ApprovalId
  let logged: unknown[] = []
  let asked: (SessionFilter | undefined)[] = []
  const clock = settableClock(START)

  const api = (more: Partial<AdminOptions> = {}): ReturnType<typeof createAdmin> =>
    createAdmin({
      authenticate: async (token) => {
        if (token === 'broken') throw new Fault('identity', 'the provider cannot be reached')
        const who = Object.hasOwn(callers, token) ? callers[token as keyof typeof callers] : undefined
        return who ? { identity: who } : { refusal: refuse('identity', 'The token is not valid.') }
      },
      approvals,
      sessions: {
        list: async (filter) => {
          asked.push(filter)
          return [session]
        },
      },
      admin: { operators: ['platform'], auditors: ['security-team'] },
      url: 'https://gw.example.com',
      readiness: () => true,
      reloading: { status: () => reloads, reload: async () => reloads },
      ...NO_GRANT_ROUTES,
      log: (error) => logged.push(error),
      ...more,
    })

  const call = async (
    caller: Caller,
    path: string,
    { body, ...init }: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Response> => {
    const headers = {
      ...(caller !== 'none' && { authorization: `Bearer ${caller}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...init.headers,
    }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return await api().request(path, { ...init, headers, ...(body !== undefined && { body: text }) })
  }
  const json = async (response: Response): Promise<Record<string, unknown>> =>
    (await response.json()) as Record<string, unknown>

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'admin-'))
    store = await openStore(dir, clock)
    approvals = createApprovals({ store, clock, url: 'https://gw.example.com' })
    id = (await approvals.request(request())).id
    logged = []
    asked = []
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })

  const everyone = [...Object.keys(callers), 'none', 'bad'] as Caller[]
  const statuses = (ok: readonly Caller[], otherwise: number): Record<string, number> => {
    const given = everyone.map((who) => {
      const status = who === 'none' || who === 'bad' ? 401 : otherwise
      return [who, ok.includes(who) ? 200 : status]
    })
    return Object.fromEntries(given) as Record<string, number>
  }
  const all = everyone.filter((who) => who !== 'none' && who !== 'bad')
  const whole: readonly Caller[] = ['approver', 'auditor', 'operator', 'samePerson']

  const matrix: readonly (readonly [string, string, Record<string, number>])[] = [
    ['GET', '/healthz', Object.fromEntries(everyone.map((who) => [who, 200]))],
    ['GET', '/readyz', Object.fromEntries(everyone.map((who) => [who, 200]))],
    ['GET', '/api/v1/openapi.json', Object.fromEntries(everyone.map((who) => [who, 200]))],
    ['GET', '/api/v1/whoami', statuses(all, 0)],
    ['GET', '/api/v1/approvals', statuses(all, 0)],
    ['GET', '/api/v1/approvals/ID', statuses([...whole, 'agent'], 404)],
    ['POST', '/api/v1/approvals/ID/approve', statuses(['approver'], 403)],
    ['POST', '/api/v1/approvals/ID/reject', statuses(['approver'], 403)],
    ['GET', '/api/v1/sessions', statuses(['auditor', 'operator'], 403)],
    ['GET', '/api/v1/sessions?identity=corp/eve', statuses(['auditor', 'operator', 'outside'], 403)],
    ['GET', '/api/v1/config', statuses(['auditor', 'operator'], 403)],
    ['POST', '/api/v1/config/reload', statuses(['operator'], 403)],
    ['GET', '/api/v1/nothing', statuses([], 404)],
    ['GET', '/', statuses([], 404)],
  ]
  for (const [method, path, expected] of matrix) {
    it(`answers ${method} ${path} to those who may have it`, async () => {
      const given: Record<string, number> = {}
      for (const who of everyone.filter((who) => who !== 'approver')) {
        given[who] = (await call(who, path.replace('ID', id), { method })).status
      }
      given['approver'] = (await call('approver', path.replace('ID', id), { method })).status
      assert.deepEqual(given, expected)
    })
  }

  it('refuses an agent a vote on what does not exist just as on what does', async () => {
    const none = '/api/v1/approvals/apr_0190f6a2-0000-7000-8000-000000000000/approve'
    assert.equal((await call('agent', none, { method: 'POST' })).status, 403)
    assert.equal((await call('agent', none, { method: 'POST', body: '{{{' })).status, 403)
    assert.equal((await call('approver', none, { method: 'POST' })).status, 404)
  })

  it('shows a person the whole of an approval', async () => {
    const body = await json(await call('approver', `/api/v1/approvals/${id}`))
    assert.deepEqual(body, {
      id,
      state: 'pending',
      operation: 'op_1',
      session: 'ses_1',
      target: 'orders',
      requester: {
        id: 'corp/bot',
        kind: 'Agent',
        act: { id: 'corp/ann', kind: 'User', person: 'ann@example.com' },
      },
      text: 'update customers set city = $1 where id = 1',
      parameters: ['Paris', null],
      digest: 'd1',
      touches: ['sql.update on Table orders/public.customers'],
      rules: ['writes-need-a-dba'],
      groups: ['dba'],
      quorum: 1,
      votes: [],
      preview: { rows_estimate: 1 },
      created_at: '2026-01-01T00:00:00.000Z',
      expires_at: '2026-01-01T00:15:45.000Z',
      url: `https://gw.example.com/approvals/${id}`,
    })
  })

  it('shows an agent only how its own request stands, and why it was rejected', async () => {
    await call('approver', `/api/v1/approvals/${id}/reject`, { method: 'POST', body: { reason: 'wrong city' } })
    const expected = {
      id,
      state: 'rejected',
      operation: 'op_1',
      expires_at: '2026-01-01T00:15:45.000Z',
      reason: 'wrong city',
    }
    assert.deepEqual(await json(await call('agent', `/api/v1/approvals/${id}`)), expected)
    assert.deepEqual(await json(await call('agent', '/api/v1/approvals')), { approvals: [expected] })
  })

  it('lists for everyone only what they may see, in the state asked for', async () => {
    const lengths: Record<string, number> = {}
    for (const who of all) {
      const { approvals } = await json(await call(who, '/api/v1/approvals?state=pending'))
      lengths[who] = (approvals as unknown[]).length
    }
    const one = { agent: 1, approver: 1, samePerson: 1, auditor: 1, operator: 1 }
    assert.deepEqual(lengths, { ...one, otherAgent: 0, workload: 0, outside: 0, requester: 0, delegated: 0 })
    assert.deepEqual(await json(await call('operator', '/api/v1/approvals?state=spent')), { approvals: [] })
  })

  it('lets people see what they asked for themselves, though they cannot vote on it', async () => {
    const own = await approvals.request(request({ requester: callers.requester, digest: 'own' }))
    assert.equal((await call('requester', `/api/v1/approvals/${own.id}`)).status, 200)
    assert.equal((await call('requester', `/api/v1/approvals/${own.id}/approve`, { method: 'POST' })).status, 403)
  })

  it('approves once, with the reason kept, and says 409 after that', async () => {
    const path = `/api/v1/approvals/${id}/approve`
    const first = await call('approver', path, { method: 'POST', body: { reason: 'looks right' } })
    const body = await json(first)
    assert.equal(body['state'], 'approved')
    assert.deepEqual(body['votes'], [
      { by: 'corp/bob', vote: 'approve', reason: 'looks right', at: '2026-01-01T00:00:00.000Z' },
    ])
    const second = await call('approver', path, { method: 'POST' })
    assert.equal(second.status, 409)
    assert.equal(second.headers.get('content-type'), 'application/problem+json')
    const problem = await json(second)
    assert.deepEqual([problem['v'], problem['code'], problem['status']], [1, 'denied', 409])
  })

  it('challenges whoever has no good token', async () => {
    for (const authorization of ['', 'Bearer', 'Basic YTpi', 'Bearer a b', `Bearer ${'a'.repeat(20_000)}`]) {
      const headers = authorization === '' ? undefined : { authorization }
      const response = await api().request('/api/v1/whoami', { ...(headers && { headers }) })
      assert.equal(response.status, 401, authorization.slice(0, 20))
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer /)
      assert.equal((await json(response))['code'], 'identity')
    }
    const inUrl = await api().request('/api/v1/whoami?access_token=operator')
    assert.equal(inUrl.status, 401)
  })

  it('cannot be talked past the gate with another spelling of an open path', async () => {
    for (const path of ['/healthz/../api/v1/whoami', '//healthz', '/healthz/', '/api/v1/openapi.json/../whoami']) {
      const response = await api().request(path)
      assert.equal(response.status, 401, path)
    }
    assert.deepEqual(await json(await api().request('/%68ealthz')), { status: 'ok' })
  })

  const badBodies: readonly (readonly [string, unknown, number])[] = [
    ['an unknown field', { reason: 'ok', force: true }, 400],
    ['a prototype', '{"__proto__":{"reason":"x"}}', 400],
    ['a constructor', '{"constructor":{"prototype":{}}}', 400],
    ['a reason that is no text', { reason: 1 }, 400],
    ['an empty reason', { reason: ' ' }, 400],
    ['a long reason', { reason: 'x'.repeat(1_001) }, 400],
    ['a list', '[]', 400],
    ['null', 'null', 400],
    ['no JSON', '{"reason":', 400],
    ['70 KiB', { reason: 'x'.repeat(70 * 1024) }, 413],
  ]
  for (const [what, body, status] of badBodies) {
    it(`refuses a vote with ${what}`, async () => {
      const response = await call('approver', `/api/v1/approvals/${id}/approve`, { method: 'POST', body })
      assert.equal(response.status, status)
      assert.equal(response.headers.get('content-type'), 'application/problem+json')
      assert.equal((await approvals.find(id))?.state, 'pending')
    })
  }

  it('refuses a body that is not declared as JSON', async () => {
    const path = `/api/v1/approvals/${id}/approve`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const response = await call('approver', path, { method: 'POST', body: 'reason=x', headers })
    assert.equal(response.status, 415)
    assert.equal((await approvals.find(id))?.state, 'pending')
  })

  it('refuses query parameters that it does not know', async () => {
    const bad = [
      'approvals?state=all',
      'approvals?stat=pending',
      'sessions?limit=0',
      'sessions?limit=1001',
      'sessions?x=1',
    ]
    for (const path of bad) assert.equal((await call('operator', `/api/v1/${path}`)).status, 400, path)
    assert.equal((await call('operator', '/api/v1/approvals/apr_../x')).status, 404)
    assert.equal((await call('operator', '/api/v1/approvals/ses_1')).status, 400)
  })

  it('passes the filters on to the list of sessions', async () => {
    const response = await call('auditor', '/api/v1/sessions?live=true&target=orders&limit=5')
    assert.deepEqual(asked, [{ live: true, target: 'orders', limit: 5 }])
    assert.deepEqual(await json(response), {
      sessions: [
        {
          id: 'ses_1',
          target: 'orders',
          protocol: 'postgres',
          identity: 'corp/bot',
          kind: 'Agent',
          grant: 'grt_1',
          lease: 'sp_x',
          client: '127.0.0.1:1',
          opened_at: '2026-01-01T00:00:00.000Z',
          first_seq: 1,
          last_seq: 2,
          operations: 1,
        },
      ],
    })
  })

  it('says who you are, and gives an agent no role whatever its groups', async () => {
    assert.deepEqual(await json(await call('operator', '/api/v1/whoami')), {
      id: 'corp/ops',
      kind: 'User',
      groups: ['platform'],
      expires_at: new Date(8.64e15).toISOString(),
      operator: true,
      auditor: false,
    })
    const other = await json(await call('otherAgent', '/api/v1/whoami'))
    assert.deepEqual([other['operator'], other['auditor']], [false, false])
  })

  it('is not ready until the listeners accept', async () => {
    assert.equal((await api({ readiness: () => false }).request('/readyz')).status, 503)
  })

  it('answers what breaks without saying what broke, and logs it', async () => {
    await store[Symbol.asyncDispose]()
    const gone = await call('approver', '/api/v1/approvals')
    assert.equal(gone.status, 503)
    assert.equal((await json(gone))['message'], 'The gateway cannot answer this now.')
    const provider = await api().request('/api/v1/whoami', { headers: { authorization: 'Bearer broken' } })
    assert.equal(provider.status, 503)
    assert.equal(logged.length, 2)
    store = await openStore(dir, clock)
  })

  it('says what is in force, and why a change of it was refused', async () => {
    const current = { policy: 'p1', since: '2026-01-01T00:00:00.000Z', changed: ['policies'] }
    assert.deepEqual(await json(await call('auditor', '/api/v1/config')), current)
    assert.deepEqual(await json(await call('none', '/healthz')), { status: 'ok' })
    const refused = { ...reloads, refused: { at: START + 1_000, errors: ['a.cedar:1:1: what?'] } }
    const broken = api({ reloading: { status: () => refused, reload: async () => refused } })
    const headers = { authorization: 'Bearer operator' }
    const body = { ...current, refused: { at: '2026-01-01T00:00:01.000Z', errors: ['a.cedar:1:1: what?'] } }
    assert.deepEqual(await json(await broken.request('/api/v1/config', { headers })), body)
    assert.deepEqual(await json(await broken.request('/api/v1/config/reload', { method: 'POST', headers })), body)
    assert.deepEqual(await json(await broken.request('/healthz')), { status: 'ok', config: 'refused' })
  })

  it('sends its security headers with every answer', async () => {
    for (const [who, path] of [
      ['none', '/healthz'],
      ['none', '/api/v1/whoami'],
      ['operator', '/nothing'],
      ['operator', '/api/v1/approvals?state=x'],
    ] as const) {
      const { headers } = await call(who, path)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.equal(headers.get('cache-control'), 'no-store')
      assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none'/)
    }
  })

  it('publishes its description, with every route and the token it needs', async () => {
    const document = await json(await call('none', '/api/v1/openapi.json'))
    assert.equal(document['openapi'], '3.1.0')
    assert.deepEqual(Object.keys(document['paths'] as object), [
      '/api/v1/approvals',
      '/api/v1/approvals/{id}',
      '/api/v1/approvals/{id}/approve',
      '/api/v1/approvals/{id}/reject',
      '/api/v1/grants',
      '/api/v1/grants/{id}',
      '/api/v1/grants/{id}/hold',
      '/api/v1/config',
      '/api/v1/config/reload',
      '/api/v1/whoami',
      '/api/v1/sessions',
    ])
    assert.match(JSON.stringify(document), /"securitySchemes":\{"bearer":\{"type":"http","scheme":"bearer"\}\}/)
  })
})
