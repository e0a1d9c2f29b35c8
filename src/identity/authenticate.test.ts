import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { exportSPKI, importJWK, type CryptoKey, type JWTPayload } from 'jose'
import type { ProviderConfig } from '../config/providers.ts'
import { type Authenticate, createAuthenticate } from './authenticate.ts'
import { DISCOVERY, type FakeIdp, sign, startIdp } from './idp.fake.ts'
import type { LocalTokens } from './local-tokens.ts'

const NOW = 1_800_000_000
let seconds = 0
const clock = { now: () => (NOW + seconds) * 1000, monotonic: () => seconds * 1000, sleep: () => Promise.resolve() }
const local = { issuer: 'sallyport:00000000' } as LocalTokens

let idp: FakeIdp
let key: CryptoKey
let authenticate: Authenticate
let config: ProviderConfig

before(async () => {
  idp = await startIdp()
  key = await idp.addKey('one')
})
after(() => idp[Symbol.asyncDispose]())

const published = () => ({ keys: idp.keys, metadata: idp.metadata })
let kept: ReturnType<typeof published>
beforeEach(() => {
  kept = published()
  seconds = 0
  idp.asked.length = 0
  const oidc = { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' }
  config = { name: 'corp', kind: [{ kind: 'User', claims: {} }], oidc }
  authenticate = createAuthenticate({ providers: [config], local, clock })
})
afterEach(() => {
  idp.keys = kept.keys
  idp.metadata = kept.metadata
  idp.instead.clear()
})

const base = (): JWTPayload => ({ iss: idp.issuer, aud: 'sallyport', sub: 'alice', iat: NOW - 30, exp: NOW + 3600 })
const token = (more: JWTPayload = {}, header = {}, by = key) =>
  sign(by, { kid: 'one', ...header }, { ...base(), ...more })

async function refusal(text: string, by = authenticate) {
  const result = await by(text)
  assert.ok('refusal' in result, 'the token was accepted')
  return result.refusal
}

async function refused(text: string, words: RegExp, code = 'identity', by = authenticate): Promise<void> {
  const { code: given, message } = await refusal(text, by)
  assert.match(message, words)
  assert.equal(given, code)
}

async function identity(text: string, by = authenticate) {
  const result = await by(text)
  assert.ok('identity' in result, 'refusal' in result ? result.refusal.message : '')
  return result.identity
}

describe('a token of a configured issuer', () => {
  it('gives the identity of its claims', async () => {
    const expiresAt = (NOW + 3600) * 1000
    assert.deepEqual(await identity(await token({ groups: ['dba', 'dev', 'dba'] })), {
      kind: 'User',
      provider: 'corp',
      subject: 'alice',
      groups: ['dba', 'dev'],
      expiresAt,
    })
  })

  it('is accepted with each algorithm of the allow-list', async () => {
    for (const alg of ['RS256', 'PS256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']) {
      const own = await idp.addKey(`key-${alg}`, alg)
      await identity(
        await token({}, { alg, kid: `key-${alg}` }, own),
        createAuthenticate({ providers: [config], local, clock }),
      )
    }
  })

  it('has a type that says it may be presented, or none', async () => {
    for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+JWT']) await identity(await token({}, { typ }))
    for (const typ of ['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'JWT ', '', 5]) {
      await refused(await token({}, { typ }), /type/)
    }
  })

  it('has an expiry, is not of the future, and does not live longer than a day', async () => {
    for (const exp of [undefined, null, '1800003600', {}, 1e300]) {
      await refused(await token({ exp } as never), /expiry|malformed/)
    }
    await refused(await sign(key, {}, JSON.stringify(base()).replace(/"exp":\d+/, '"exp":1e400')), /malformed/)
    await refused(await token({ exp: NOW }), /has expired at 2027-01-15/)
    await refused(await token({ iat: NOW + 61 }), /issued in the future/)
    await refused(await token({ iat: '1' } as never), /malformed/)
    await refused(await token({ nbf: NOW + 61 }), /not valid yet/)
    await refused(await token({ exp: NOW + 86_400 }), /lives longer than 24 hours/)
    await refused(await token({ iat: undefined, exp: NOW + 86_401 }), /lives longer/)
    await identity(await token({ iat: NOW + 60, nbf: NOW + 60 }))
    await identity(await token({ iat: undefined, exp: NOW + 86_400 }))
  })

  it('names a subject that can stand in records', async () => {
    const bad = [undefined, null, '', 5, ['a'], 'a\0b', 'a\nb', 'a\u202eb', 'a\u200bb', '\ud800', 'x'.repeat(256)]
    for (const sub of bad) await refused(await token({ sub } as never), /names no subject/)
    assert.equal((await identity(await token({ sub: `a'; DROP/"é` }))).subject, `a'; DROP/"é`)
  })

  it('is for our audience, exactly', async () => {
    for (const aud of [
      undefined,
      'sallyport-admin',
      'Sallyport',
      ['other'],
      { sallyport: 1 },
      [['sallyport']],
      ['sallyport', 1],
    ]) {
      await refused(await token({ aud } as never), /audience/)
    }
    await identity(await token({ aud: ['other', 'sallyport'], azp: 'other' }))
  })

  it('was issued to our client when it has several audiences and the client is configured', async () => {
    const providers = [{ ...config, oidc: { ...config.oidc, clientId: 'console' } }]
    const strict = createAuthenticate({ providers, local, clock })
    await refused(await token({ aud: ['sallyport', 'b'], azp: 'other' }), /another client/, 'identity', strict)
    await refused(await token({ aud: ['sallyport', 'b'] }), /another client/, 'identity', strict)
    await identity(await token({ aud: ['sallyport', 'b'], azp: 'console' }), strict)
  })

  it('is neither an event, nor bound to a key, nor delegated', async () => {
    await refused(await token({ events: {} }), /event/)
    await refused(await token({ cnf: { jkt: 'x' } }), /bound to a key/)
    await refused(await token({ act: { sub: 'bot' } }), /delegated/)
  })
})

describe('a forged token', () => {
  it('is refused whatever its header says', async () => {
    const other = await startIdp()
    const attacker = await other.addKey('one')
    await other[Symbol.asyncDispose]()
    const [header, claims, signature] = (await token()).split('.') as [string, string, string]
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    await refused(await token({}, {}, attacker), /no valid signature/)
    for (const alg of ['none', 'nOnE', '', 'HS256', 'RS256 ', 'RSA-OAEP', null, ['ES256'], 'ML-DSA-44']) {
      await refused(`${encode({ alg, kid: 'one' })}.${claims}.${signature}`, /algorithm/)
    }
    for (const name of ['jwk', 'jku', 'x5c', 'x5u']) {
      await refused(`${encode({ alg: 'ES256', [name]: idp.keys[0] })}.${claims}.${signature}`, /its own key/)
    }
    await refused(`${encode({ alg: 'ES256', crit: ['b64'], b64: false })}.${claims}.${signature}`, /crit/)
    await refused(`${encode({ alg: 'ES256', kid: { $ne: '' } })}.${claims}.${signature}`, /kid/)
    for (const kid of ['../../dev/null', "' OR 1=1 --", '', 'https://evil.example/jwks', '__proto__', 'ONE']) {
      const [odd, same, own] = (await token({}, { kid }, attacker)).split('.')
      await refused(`${odd}.${same}.${own}`, /does not publish/)
    }
    await refused(`${header}.${encode({ ...base(), sub: 'root' })}.${signature}`, /no valid signature/)
    await refused(`${header}.${claims}.${'A'.repeat(86)}`, /no valid signature/)
  })

  it('is refused when a published RSA key is used as the secret of an HMAC, or for another family of algorithms', async () => {
    const rsa = await idp.addKey('rsa', 'RS256')
    const [, claims] = (await token()).split('.') as [string, string, string]
    const pem = await exportSPKI((await importJWK(idp.keys.at(-1)!, 'RS256')) as CryptoKey)
    for (const alg of ['HS256', 'RS256', 'ES256']) {
      const header = Buffer.from(JSON.stringify({ alg, kid: 'rsa' })).toString('base64url')
      const signature = createHmac('sha256', pem).update(`${header}.${claims}`).digest('base64url')
      await refused(`${header}.${claims}.${signature}`, /algorithm|no valid signature|does not publish/)
    }
    await identity(await token({}, { alg: 'RS256', kid: 'rsa' }, rsa))
    const [header, , signature] = (await token({}, { alg: 'RS256', kid: 'rsa' }, rsa)).split('.')
    assert.ok(header)
    const other = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'rsa' })).toString('base64url')
    await refused(`${other}.${claims}.${signature}`, /no valid signature|does not publish/)
  })

  it('is refused when it can be read in two ways', async () => {
    const [header, claims, signature] = (await token()).split('.') as [string, string, string]
    const raw = (text: string): string => Buffer.from(text).toString('base64url')
    const plain = Buffer.from(claims, 'base64url').toString()
    await refused(`${raw('{"alg":"none","alg":"ES256"}')}.${claims}.${signature}`, /malformed \(header\)/)
    const texts = [
      plain.replace('{', '{"sub":"root",'),
      plain.replace('{', '{"s\\u0075b":"root",'),
      `\ufeff${plain}`,
      '[]',
      'null',
      '',
    ]
    for (const text of texts) await refused(`${header}.${raw(text)}.${signature}`, /malformed/)
    const nested = `{"a":`.repeat(40) + '1' + '}'.repeat(40)
    await refused(`${header}.${raw(nested)}.${signature}`, /malformed/)
    for (const spelling of [`${signature}=`, `${signature} `, `\n${signature}`, `+${signature.slice(1)}`, '']) {
      await refused(`${header}.${claims}.${spelling}`, /malformed/)
    }
    await refused(` ${header}.${claims}.${signature}`, /malformed/)
  })

  it('is refused before it is decoded when it is no token at all', async () => {
    for (const text of ['', 'opaque', 'grt_x', 'a.b', 'a.b.c.d', '.'.repeat(200)]) {
      await refused(text, /not a token of a known issuer/)
    }
    await refused('a.b.c.d.e', /encrypted/)
    await refused('.'.repeat(200_000), /longer than 16 KiB/)
    await refused(await token({ pad: 'x'.repeat(16_384) }), /longer than 16 KiB/)
    assert.deepEqual(idp.asked, [])
  })

  it('is refused without a question to anyone when its issuer is not configured', async () => {
    for (const iss of ['https://evil.example', `${idp.issuer}/`, undefined, 5, '', idp.issuer.toUpperCase()]) {
      await refused(await token({ iss } as never), /issuer/)
    }
    assert.deepEqual(idp.asked, [])
  })

  it('is not repeated in the refusal', async () => {
    const text = await token({ sub: 'a\0canary', groups: ['canary'] })
    const said = JSON.stringify(await refusal(text))
    assert.ok(!said.includes('canary') && !said.includes(text.slice(-40)))
  })
})

describe('several providers', () => {
  it('share an issuer and are told apart by audience', async () => {
    const agents: ProviderConfig = {
      name: 'agents',
      kind: [{ kind: 'Agent', claims: {} }],
      oidc: { ...config.oidc, audience: 'agents' },
    }
    const both = createAuthenticate({ providers: [config, agents], local, clock })
    assert.equal((await identity(await token({ aud: 'agents' }), both)).kind, 'Agent')
    assert.equal((await identity(await token({ aud: ['sallyport', 'x'] }), both)).kind, 'User')
    await refused(await token({ aud: ['sallyport', 'agents'] }), /several providers/, 'identity', both)
    assert.equal(idp.asked.filter((path) => path === '/jwks').length, 1)
  })
})

describe('the keys of an issuer', () => {
  const jwksAsked = (): number => idp.asked.filter((path) => path === '/jwks').length

  it('are read once for many tokens', async () => {
    const tokens = await Promise.all(['a', 'b', 'c'].map((sub) => token({ sub })))
    await Promise.all(tokens.map((text) => identity(text)))
    assert.deepEqual(idp.asked, [DISCOVERY, '/jwks'])
  })

  it('are read again for an unknown one, so that a rotation is known at once, but not at every token', async () => {
    await identity(await token())
    const fresh = await idp.addKey('two')
    seconds += 1
    await identity(await token({}, { kid: 'two' }, fresh))
    for (let i = 0; i < 20; i++) await refused(await token({}, { kid: `unknown-${i}` }), /does not publish/)
    assert.equal(jwksAsked(), 2)
    seconds += 6
    await refused(await token({}, { kid: 'unknown' }), /does not publish/)
    assert.equal(jwksAsked(), 3)
  })

  it('are refused within a minute when withdrawn, for tokens seen before too', async () => {
    const text = await token()
    await identity(text)
    idp.keys = []
    await idp.addKey('two')
    seconds += 59
    await refused(text, /does not publish/)
  })

  it('are used for ten minutes while the issuer does not answer, and then no more', async () => {
    const text = await token()
    await identity(text)
    idp.instead.set('/jwks', (_, response) => response.writeHead(500).end())
    seconds += 599
    await identity(text)
    await identity(await token({ sub: 'bob' }))
    seconds += 2
    await refused(text, /keys: answered 500/, 'unavailable')
    idp.instead.clear()
    seconds += 2
    await identity(text)
  })

  it('are the issuer’s own: no redirect, other document, odd address or oversize answer counts', async () => {
    const answers: [string, (idp: FakeIdp) => void, RegExp][] = [
      [
        'redirect',
        ({ instead }) => instead.set('/jwks', (_, r) => r.writeHead(302, { location: '/other' }).end()),
        /answered 302/,
      ],
      ['issuer', (idp) => (idp.metadata = { ...idp.metadata, issuer: `${idp.issuer}/` }), /another issuer/],
      ['address', (idp) => (idp.metadata = { ...idp.metadata, jwks_uri: 'http://169.254.169.254/' }), /jwks_uri/],
      ['scheme', (idp) => (idp.metadata = { ...idp.metadata, jwks_uri: 'file:///etc/passwd' }), /jwks_uri/],
      [
        'size',
        ({ instead }) => instead.set('/jwks', (_, r) => r.end(`"${'x'.repeat(1024 * 1024)}"`)),
        /larger than 1 MiB/,
      ],
      ['json', ({ instead }) => instead.set('/jwks', (_, r) => r.end('{')), /not JSON/],
      ['set', ({ instead }) => instead.set('/jwks', (_, r) => r.end('{"keys":1}')), /not a key set/],
      ['null', ({ instead }) => instead.set(DISCOVERY, (_, r) => r.end('null')), /another issuer/],
      ['reset', ({ instead }) => instead.set(DISCOVERY, (request) => request.destroy()), /no answer/],
    ]
    for (const [name, change, words] of answers) {
      const metadata = idp.metadata
      change(idp)
      const fresh = createAuthenticate({ providers: [config], local, clock })
      await refused(await token({ jti: name }), words, 'unavailable', fresh)
      idp.metadata = metadata
      idp.instead.clear()
    }
  })

  it('must be strong public signature keys, one for each token', async () => {
    const many = await Promise.all([idp.addKey('same'), idp.addKey('same')])
    const weak = { kty: 'oct', kid: 'oct', k: 'c2VjcmV0' }
    idp.keys.push(weak, { ...idp.keys[0], kid: 'enc', use: 'enc' }, { ...idp.keys[0], kid: 'private', d: 'AAAA' })
    await refused(await token({}, { kid: 'same' }, many[0]), /which key/)
    await refused(await token({}, { kid: 'enc' }), /does not publish/)
    await refused(await token({}, { kid: 'private' }), /no valid signature/)
    await refused(await token({}, { kid: 'oct' }), /does not publish/)
  })
})

describe('a verified token', () => {
  it('ends when it expires, though it is remembered', async () => {
    const text = await token({ exp: NOW + 20 })
    await identity(text)
    seconds += 20
    await refused(text, /has expired/)
  })
})
