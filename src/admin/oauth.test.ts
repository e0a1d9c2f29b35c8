import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createLocalJWKSet, decodeJwt, jwtVerify, type CryptoKey, type JSONWebKeySet } from 'jose'
import type { ProviderConfig } from '../config/providers.ts'
import type { Identity } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { createAuthenticate, type Authenticate } from '../identity/authenticate.ts'
import { createExchange, type Exchanged } from '../identity/exchange.ts'
import { sign, startIdp, type FakeIdp } from '../identity/idp.fake.ts'
import { openLocalTokens, type LocalTokens } from '../identity/local-tokens.ts'
import { createTokenService } from './oauth.ts'

const NOW = 1_800_000_000
const URL_OF_GATEWAY = 'https://gw.example.com/'
const ISSUER = 'sallyport:0a1b2c3d'
const TYPE = 'urn:ietf:params:oauth:token-type:'
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'

type Claims = Readonly<Record<string, unknown>>
type Form = Readonly<Record<string, string | readonly string[]>>

describe('the token endpoint', () => {
  let idp: FakeIdp
  let key: CryptoKey
  let dataDir = ''
  let local: LocalTokens
  let authenticate: Authenticate
  let seconds = 0
  let recorded: Exchanged[] = []
  let record: () => Promise<void> = async () => undefined
  const clock = { now: () => (NOW + seconds) * 1000, monotonic: () => seconds * 1000, sleep: () => Promise.resolve() }

  before(async () => {
    idp = await startIdp()
    key = await idp.addKey('k1')
    dataDir = await mkdtemp(join(tmpdir(), 'exchange-'))
    local = await openLocalTokens({ dataDir, installation: '0a1b2c3d', clock })
    const kind = [
      { kind: 'Agent' as const, claims: { type: 'agent' } },
      { kind: 'Workload' as const, claims: { type: 'ci' } },
      { kind: 'User' as const, claims: {} },
    ] as const
    const corp: ProviderConfig = {
      name: 'corp',
      kind,
      person: 'email',
      mayAssert: ['*'],
      oidc: { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' },
    }
    authenticate = createAuthenticate({ providers: [corp], local, clock })
  })
  after(async () => {
    await idp?.[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true })
  })
  beforeEach(() => {
    seconds = 0
    recorded = []
    record = async () => undefined
  })

  const service = (log?: (error: unknown) => void) =>
    createTokenService({
      exchange: createExchange({ authenticate, local, issuers: () => [{ provider: 'corp', url: idp.issuer }] }),
      record: async (exchanged) => {
        await record()
        recorded.push(exchanged)
      },
      url: URL_OF_GATEWAY,
      issuer: ISSUER,
      publicKey: local.publicKey,
      ...(log && { log }),
    })
  const base = (): Claims => ({
    iss: idp.issuer,
    aud: 'sallyport',
    sub: 'ada',
    groups: ['staff'],
    iat: NOW - 30,
    exp: NOW + 7200,
  })
  const token = (more: Claims = {}): Promise<string> => sign(key, { kid: 'k1' }, { ...base(), ...more })
  const person = (more: Claims = {}) => token({ email: 'ada@shop.example', ...more })
  const agent = (more: Claims = {}) => token({ sub: 'bot-7', type: 'agent', groups: ['data-agents'], ...more })

  async function post(form: Form, headers: Record<string, string> = {}): Promise<Response> {
    const body = new URLSearchParams()
    for (const [name, value] of Object.entries(form)) for (const one of [value].flat()) body.append(name, one)
    return service().request('/oauth/token', { method: 'POST', body, headers })
  }
  const withTokens = (subject: string, actor?: string, more: Form = {}): Form => ({
    grant_type: GRANT,
    subject_token: subject,
    subject_token_type: `${TYPE}access_token`,
    ...(actor !== undefined && { actor_token: actor, actor_token_type: `${TYPE}jwt` }),
    ...more,
  })
  async function given(form: Form): Promise<{ access_token: string; expires_in: number } & Record<string, unknown>> {
    const response = await post(form)
    const body = (await response.json()) as never
    assert.equal(response.status, 200, JSON.stringify(body))
    return body
  }
  async function who(text: string): Promise<Identity> {
    const result = await authenticate(text)
    assert.ok('identity' in result, 'refusal' in result ? result.refusal.message : '')
    return result.identity
  }
  async function refused(form: Form, error: string, words: RegExp, status = 400): Promise<void> {
    const response = await post(form)
    const body = (await response.json()) as Record<string, string>
    assert.deepEqual([response.status, body['error']], [status, error], JSON.stringify(body))
    assert.match(body['error_description']!, words)
    assert.match(body['error_description']!, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.deepEqual(Object.keys(body), ['error', 'error_description'])
    for (const value of Object.values(form).flat()) {
      if (value.length > 200) assert.ok(!JSON.stringify(body).includes(value.slice(-40)), 'it repeats the token')
    }
  }

  it('gives a token for the same identity, an hour long, as RFC 8693 section 2.2.1 has it', async () => {
    const response = await post(withTokens(await person()))
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-type')!, /^application\/json/)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.equal(response.headers.get('pragma'), 'no-cache')
    const { access_token: text, ...rest } = (await response.json()) as Record<string, string>
    assert.deepEqual(rest, { issued_token_type: `${TYPE}access_token`, token_type: 'Bearer', expires_in: 3600 })
    const identity = { kind: 'User', provider: 'corp', subject: 'ada', groups: ['staff'], person: 'ada@shop.example' }
    assert.deepEqual(await who(text!), { ...identity, expiresAt: (NOW + 3600) * 1000 })
    assert.equal(recorded.length, 1)
    seconds += 3600
    assert.match(JSON.stringify(await authenticate(text!)), /has expired/)
  })

  it('gives no token that lives longer than those it is made from', async () => {
    assert.equal((await given(withTokens(await person({ exp: NOW + 90 })))).expires_in, 90)
    assert.equal((await given(withTokens(await person({ exp: NOW + 90.7 })))).expires_in, 90)
    assert.equal(
      (await given(withTokens(await person({ exp: NOW + 600 }), await agent({ exp: NOW + 60 })))).expires_in,
      60,
    )
    const { access_token: once } = await given(withTokens(await person({ exp: NOW + 600 })))
    seconds += 100
    assert.equal((await given(withTokens(once))).expires_in, 500)
  })

  it('gives an agent a token on behalf of a person, and another agent one on behalf of both', async () => {
    const { access_token: first } = await given(withTokens(await person(), await agent()))
    const ada = { kind: 'User', provider: 'corp', subject: 'ada', groups: ['staff'], person: 'ada@shop.example' }
    const bot = { kind: 'Agent', provider: 'corp', subject: 'bot-7', groups: ['data-agents'] }
    const end = { expiresAt: (NOW + 3600) * 1000 }
    assert.deepEqual(await who(first), { ...bot, ...end, onBehalfOf: { ...ada, ...end } })
    const job = await token({ sub: 'job', type: 'ci', groups: [] })
    const { access_token: second } = await given(withTokens(first, job))
    const expected = { kind: 'Workload', provider: 'corp', subject: 'job', groups: [], ...end }
    assert.deepEqual(await who(second), { ...expected, onBehalfOf: { ...bot, ...end, onBehalfOf: { ...ada, ...end } } })
    const claims = decodeJwt<{ act: { sub: string; act: { sub: string } } }>(second)
    assert.deepEqual([claims.sub, claims.act.sub, claims.act.act.sub], ['ada', 'job', 'bot-7'])
  })

  it('gives tokens for those of the gateway itself too', async () => {
    const ann = await local.mint({ kind: 'User', name: 'ann', groups: ['dba'] })
    const bot = await local.mint({ kind: 'Agent', name: 'bot' })
    const identity = await who((await given(withTokens(ann, bot))).access_token)
    assert.deepEqual([identity.provider, identity.subject, identity.onBehalfOf!.subject], ['local', 'bot', 'ann'])
  })

  it('says that it gave a JWT when one was asked for', async () => {
    const body = await given(withTokens(await person(), undefined, { requested_token_type: `${TYPE}jwt` }))
    assert.equal(body['issued_token_type'], `${TYPE}jwt`)
  })

  it('ignores what it does not know, and takes what is empty as absent (RFC 6749 section 3.2)', async () => {
    const more = { actor_token: '', actor_token_type: '', scope: '', resource: '', client_id: 'x', foo: 'bar' }
    await given(withTokens(await person(), undefined, more))
  })

  it('gives tokens for the gateway only, by any of its names', async () => {
    const subject = await person()
    const own: readonly Form[] = [
      { audience: ISSUER },
      { resource: 'https://gw.example.com' },
      { resource: URL_OF_GATEWAY, audience: ISSUER },
    ]
    for (const more of own) await given(withTokens(subject, undefined, more))
    const others: readonly Form[] = [
      { audience: 'payroll' },
      { resource: 'https://gw.example.com/billing' },
      { audience: [ISSUER, 'payroll'] },
    ]
    for (const more of others) {
      await refused(withTokens(subject, undefined, more), 'invalid_target', /for the gateway only/)
    }
  })

  it('refuses a request that is none, in the words of RFC 6749 section 5.2', async () => {
    const good = withTokens(await person(), await agent())
    const without = (name: string): Form => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name))
    await refused(without('grant_type'), 'invalid_request', /grant_type is missing/)
    await refused({ ...good, grant_type: 'client_credentials' }, 'unsupported_grant_type', /token-exchange/)
    await refused(without('subject_token'), 'invalid_request', /subject_token is missing/)
    await refused(without('subject_token_type'), 'invalid_request', /subject_token_type is missing/)
    await refused(without('actor_token_type'), 'invalid_request', /actor_token_type is missing/)
    await refused(without('actor_token'), 'invalid_request', /but no actor_token/)
    await refused(
      { ...good, subject_token_type: `${TYPE}refresh_token` },
      'invalid_request',
      /subject_token_type is one of/,
    )
    await refused({ ...good, actor_token_type: `${TYPE}saml2` }, 'invalid_request', /actor_token_type is one of/)
    await refused(
      { ...good, requested_token_type: `${TYPE}saml2` },
      'invalid_request',
      /requested_token_type is one of/,
    )
    await refused({ ...good, scope: 'openid' }, 'invalid_scope', /leave it out/)
    await refused({ ...good, subject_token: [await person(), await person()] }, 'invalid_request', /stands twice/)
    assert.deepEqual(recorded, [])
  })

  it('refuses a body that is no form, or too large', async () => {
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
    const wrong = await service().request('/oauth/token', json)
    assert.equal(wrong.status, 400)
    assert.equal(((await wrong.json()) as { error: string }).error, 'invalid_request')
    const large = await post({ ...withTokens('x'.repeat(70 * 1024)) })
    assert.equal(large.status, 413)
    assert.equal((await service().request('/oauth/token')).status, 404)
  })

  it('refuses tokens that are not good, and says which and why', async () => {
    const elsewhere = await person({ aud: 'payroll' })
    await refused(withTokens(elsewhere), 'invalid_request', /^subject_token: The token is for another audience/)
    await refused(withTokens(await person({ exp: NOW - 1 })), 'invalid_request', /^subject_token: .* expired/)
    await refused(withTokens('hunter2'), 'invalid_request', /^subject_token: /)
    await refused(withTokens(await person(), await agent({ aud: 'x' })), 'invalid_request', /^actor_token: /)
    await refused(
      withTokens(await person({ act: { sub: 'bot-7' } })),
      'invalid_request',
      /delegated \(act\) by its issuer/,
    )
    assert.deepEqual(
      recorded.map((one) => [one.subject?.subject, one.actor?.subject, 'error' in one && one.error]),
      [...Array<undefined>(3), 'ada', undefined].map((subject) => [subject, undefined, 'invalid_request']),
    )
  })

  it('says 503 when an issuer cannot be asked: that is no fault of who asks', async () => {
    const fresh = authenticate
    authenticate = async () => ({
      refusal: { v: 1, code: 'unavailable', message: 'The token cannot be verified.', retry: 'later', remedy: [] },
    })
    await refused(withTokens('x'), 'temporarily_unavailable', /cannot be verified/, 503)
    authenticate = fresh
  })

  const rules: readonly (readonly [string, () => Promise<Form>, RegExp])[] = [
    ['a person as actor', async () => withTokens(await person(), await person({ sub: 'bob' })), /It is of a person/],
    [
      'an agent as subject with an actor',
      async () => withTokens(await agent(), await agent({ sub: 'b' })),
      /of no person/,
    ],
    [
      'a workload as subject with an actor',
      async () => withTokens(await token({ sub: 'job', type: 'ci' }), await agent()),
      /of no person/,
    ],
    [
      'an actor that acts for somebody already',
      async () =>
        withTokens(await person(), (await given(withTokens(await person({ sub: 'eve' }), await agent()))).access_token),
      /acts for somebody already/,
    ],
    [
      'a person whose may_act names somebody else',
      async () => withTokens(await person({ may_act: { sub: 'bot-8' } }), await agent()),
      /may_act does not name corp\/bot-7/,
    ],
    [
      'a person whose may_act names the actor at another issuer',
      async () => withTokens(await person({ may_act: { sub: 'bot-7', iss: 'https://idp.example' } }), await agent()),
      /may_act does not name/,
    ],
    [
      'an actor of the gateway with the name that may_act gives to one of the issuer',
      async () =>
        withTokens(await person({ may_act: { sub: 'bot-7' } }), await local.mint({ kind: 'Agent', name: 'bot-7' })),
      /may_act does not name local\/bot-7/,
    ],
    ...[null, 'bot-7', [], { sub: 5 }, { email: 'x' }, { sub: 'bot-7', client_id: 'x' }].map(
      (may_act) =>
        [
          `a may_act that cannot be compared: ${JSON.stringify(may_act)}`,
          async () => withTokens(await person({ may_act }), await agent()),
          /may_act does not name one actor/,
        ] as const,
    ),
  ]
  for (const [what, form, words] of rules) {
    it(`refuses ${what}`, async () => refused(await form(), 'invalid_request', words))
  }

  it('takes the actor that may_act names, and keeps may_act for later exchanges', async () => {
    const may_act = { sub: 'bot-7' }
    await given(withTokens(await person({ may_act }), await agent()))
    await given(withTokens(await person({ may_act: { ...may_act, iss: idp.issuer } }), await agent()))
    const { access_token: own } = await given(withTokens(await person({ may_act })))
    await given(withTokens(own, await agent()))
    await refused(
      withTokens(own, await agent({ sub: 'bot-8' })),
      'invalid_request',
      /may_act does not name corp\/bot-8/,
    )
    const { access_token: acting } = await given(withTokens(own, await agent()))
    await refused(withTokens(acting, await agent({ sub: 'bot-8' })), 'invalid_request', /does not name corp\/bot-8/)
    const unknown = await person({ may_act: { sub: 'x', exp: 1 } })
    await refused(withTokens(unknown), 'invalid_request', /may_act does not name one actor/)
  })

  it('gives chains of four and no longer ones', async () => {
    let text = await person()
    for (const sub of ['a', 'b', 'c']) text = (await given(withTokens(text, await agent({ sub })))).access_token
    assert.equal((await who(text)).onBehalfOf!.onBehalfOf!.onBehalfOf!.subject, 'ada')
    await refused(withTokens(text, await agent({ sub: 'd' })), 'invalid_request', /at most 4 identities/)
    assert.equal((await who((await given(withTokens(text))).access_token)).subject, 'c')
  })

  it('gives no token that would be too long to be used', async () => {
    const groups = Array.from({ length: 55 }, (_, i) => `${i}`.padEnd(150, 'g'))
    const [long, actor] = [await person({ groups }), await agent({ groups })]
    await given(withTokens(long))
    await refused(withTokens(long, actor), 'invalid_request', /longer than 16 KiB/)
  })

  it('gives nothing that cannot be recorded', async () => {
    const logged: unknown[] = []
    record = async () => {
      throw new Fault('unrecordable', 'the disk is full')
    }
    const form = new URLSearchParams(withTokens(await person()) as Record<string, string>)
    const response = await service((error) => logged.push(error)).request('/oauth/token', {
      method: 'POST',
      body: form,
    })
    const body = (await response.json()) as Record<string, string>
    assert.deepEqual([response.status, body['error']], [503, 'temporarily_unavailable'])
    assert.doesNotMatch(JSON.stringify(body), /disk|access_token/)
    assert.equal(logged.length, 1)
  })

  it('tells how it is used (RFC 8414), and the key that its tokens are verified by', async () => {
    const metadata = await service().request('/.well-known/oauth-authorization-server')
    assert.deepEqual(await metadata.json(), {
      issuer: 'https://gw.example.com',
      token_endpoint: 'https://gw.example.com/oauth/token',
      jwks_uri: 'https://gw.example.com/oauth/jwks',
      grant_types_supported: [GRANT],
      response_types_supported: [],
      token_endpoint_auth_methods_supported: ['none'],
    })
    const keys = (await (await service().request('/oauth/jwks')).json()) as JSONWebKeySet
    assert.deepEqual(Object.keys(keys.keys[0]!).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
    const { access_token: text } = await given(withTokens(await person()))
    const expected = { issuer: ISSUER, audience: ISSUER, algorithms: ['Ed25519'], currentDate: new Date(NOW * 1000) }
    assert.equal((await jwtVerify(text, createLocalJWKSet(keys), expected)).payload.sub, 'ada')
  })

  it('answers nothing else', async () => {
    for (const path of ['/oauth', '/oauth/authorize', '/.well-known/openid-configuration', '/api/v1/whoami', '/']) {
      assert.equal((await service().request(path)).status, 404, path)
    }
  })
})
