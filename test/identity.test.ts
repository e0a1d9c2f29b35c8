import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { EncryptJWT, generateKeyPair, generateSecret, SignJWT, type CryptoKey } from 'jose'
import { Client, type DatabaseError } from 'pg'
import { systemClock } from '../src/gateway/clock.ts'
import { sign, startIdp, type FakeIdp } from '../src/identity/idp.fake.ts'
import { connected } from './holding.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

type Claims = Readonly<Record<string, unknown>>

describe('a token on a PostgreSQL connection', () => {
  let scene: Scene
  let idp: FakeIdp
  let key: CryptoKey
  let stranger: FakeIdp
  /** How far the gateway's monotonic clock is put forward, in ms. */
  let ahead = 0

  before(async () => {
    ;[idp, stranger] = await Promise.all([startIdp(), startIdp()])
    key = await idp.addKey('k1')
    const provider = (name: string, kind: unknown, audience: string): object => ({
      name,
      kind,
      person: 'email',
      oidc: { issuer: idp.issuer, audience, groups: 'groups' },
      may_assert: ['data-*'],
    })
    const kinds = [{ agent: { client_type: 'agent' } }, 'user']
    scene = await startScene({
      clock: { ...systemClock, monotonic: () => performance.now() + ahead },
      config: { identity: [provider('corp', kinds, 'sallyport'), provider('ci', 'workload', 'sallyport-ci')] },
    })
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
    await stranger?.[Symbol.asyncDispose]()
  })

  const now = (): number => Math.floor(Date.now() / 1000)
  const claims = (more: Claims = {}): Claims => ({
    iss: idp.issuer,
    aud: 'sallyport',
    sub: 'bot-7',
    client_type: 'agent',
    groups: ['data-agents'],
    iat: now(),
    exp: now() + 600,
    ...more,
  })
  const signed = (more?: Claims, header: object = { kid: 'k1' }): Promise<string> => sign(key, header, claims(more))
  const tampered = (token: string, change: (claims: Claims) => Claims): string => {
    const [header, payload, signature] = token.split('.')
    const changed = change(JSON.parse(Buffer.from(payload!, 'base64url').toString()) as Claims)
    return [header, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.')
  }
  const unsigned = (header: object): string =>
    [JSON.stringify(header), JSON.stringify(claims()), '']
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.')
  const opened = async (): Promise<number> =>
    (await scene.records()).filter(({ type }) => type === 'session.opened').length
  const turnedAway = async (token: string): Promise<DatabaseError> =>
    connected(scene, token).then(
      () => assert.fail('it came in'),
      (error: DatabaseError) => error,
    )

  it('says who is asking: kind, groups it may assert, person', async () => {
    const person = { email: 'ada@shop.example', email_verified: true }
    const tokens = [
      await signed({ ...person, groups: ['data-agents', 'dba'] }),
      await signed({ ...person, client_type: undefined, groups: 'data-agents' }),
      await signed({ aud: ['sallyport-ci', 'elsewhere'] }),
    ]
    for (const token of tokens) {
      await using client = await connected(scene, token)
      assert.deepEqual((await client.query('SELECT email FROM customers WHERE id = 1')).rows, [{ email: '***' }])
    }
    const who = (await scene.records()).flatMap((record) => (record.type === 'session.opened' ? [record.who] : []))
    const common = { groups: ['data-agents'], person: 'ada@shop.example' }
    assert.deepEqual(who, [
      { kind: 'Agent', id: 'corp/bot-7', ...common },
      { kind: 'User', id: 'corp/bot-7', ...common },
      { kind: 'Workload', id: 'ci/bot-7', groups: ['data-agents'] },
    ])
    await within('their roles are gone', async () => (await scene.roles()).length === 0)
  })

  const bad: Readonly<Record<string, readonly [RegExp, () => Promise<string> | string]>> = {
    'that has expired': [/^The token has expired at .*\.$/, () => signed({ exp: now() - 1 })],
    'without an end': [/has no expiry \(exp\)/, () => signed({ exp: undefined })],
    'that lives for days': [/lives longer than 24 hours/, () => signed({ exp: now() + 3 * 86_400 })],
    'issued in the future': [/issued in the future \(iat\)/, () => signed({ iat: now() + 300 })],
    'not valid yet': [/not valid yet \(nbf\)/, () => signed({ nbf: now() + 300 })],
    'without a subject': [/names no subject \(sub\)/, () => signed({ sub: undefined })],
    'for another audience': [/for another audience \(aud\)/, () => signed({ aud: 'payroll' })],
    'for no audience': [/for another audience \(aud\)/, () => signed({ aud: undefined })],
    'for the audiences of two providers': [/several providers/, () => signed({ aud: ['sallyport', 'sallyport-ci'] })],
    'of an unknown issuer': [/of an unknown issuer/, () => signed({ iss: 'https://idp.example' })],
    'of an issuer that is almost ours': [/of an unknown issuer/, () => signed({ iss: `${idp.issuer}/` })],
    'of no issuer': [/names no issuer/, () => signed({ iss: undefined })],
    'whose groups were changed': [
      /has no valid signature/,
      async () => tampered(await signed(), (given) => ({ ...given, groups: ['dba'] })),
    ],
    'signed by somebody else under a known key id': [
      /has no valid signature/,
      async () => sign((await generateKeyPair('ES256')).privateKey, { kid: 'k1' }, claims()),
    ],
    'signed by a key that is published elsewhere': [
      /key that its issuer does not publish/,
      async () => sign(await stranger.addKey('s1'), { kid: 's1' }, claims()),
    ],
    'with alg none': [/algorithm that is not accepted/, () => unsigned({ alg: 'none', typ: 'JWT' })],
    'with alg none and a signature': [/algorithm that is not accepted/, () => `${unsigned({ alg: 'None' })}AAAA`],
    'with an HMAC over the published key': [
      /algorithm that is not accepted/,
      () =>
        new SignJWT({ ...claims() })
          .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
          .sign(Buffer.from(JSON.stringify(idp.keys[0]))),
    ],
    'that is encrypted': [
      /encrypted \(JWE\)/,
      async () =>
        new EncryptJWT({ ...claims() })
          .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
          .encrypt(await generateSecret('A256GCM', { extractable: true })),
    ],
    'that brings its own key': [/brings its own key/, () => signed({}, { kid: 'k1', jku: `${stranger.issuer}/jwks` })],
    'for logging out': [/is an event/, () => signed({ events: {} })],
    'that says a thing twice': [
      /malformed \(claims\)/,
      () => sign(key, { kid: 'k1' }, JSON.stringify(claims()).replace('{', '{"groups":["dba"],')),
    ],
    'that is no token at all': [/not a token of a known issuer/, () => 'hunter2'],
    'of another installation of the gateway': [
      /of an unknown issuer/,
      async () => tampered(await scene.token(), (given) => ({ ...given, iss: 'sallyport:0', aud: 'sallyport:0' })),
    ],
  }

  for (const [which, [message, make]] of Object.entries(bad)) {
    it(`${which} is refused with 28P01, FATAL, in one line that does not repeat it`, async () => {
      const before = await opened()
      const token = await make()
      const error = await turnedAway(token)
      assert.equal(error.code, '28P01')
      assert.equal(error.severity, 'FATAL')
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /\n/)
      const said = `${error.message} ${error.detail} ${error.hint}`
      for (const part of token.split('.')) assert.ok(part.length < 5 || !said.includes(part), 'it repeats the token')
      assert.equal((JSON.parse(error.detail ?? '{}') as { code: string }).code, 'identity')
      assert.ok(error.hint)
      assert.equal(await opened(), before)
      assert.deepEqual(await scene.roles(), [])
    })
  }

  it('that is empty is refused', async () => {
    const { port } = scene.gateway.postgres
    const client = new Client({ host: '127.0.0.1', port, user: 'agent', database: 'orders', password: () => '' })
    const error = await client.connect().then(
      () => assert.fail('it came in'),
      (error: DatabaseError) => error,
    )
    assert.equal(error.code, '28P01')
  })

  it('of a key that the issuer has just begun to use is taken, and of one it took back is not', async () => {
    const known = idp.keys.slice(0, 1)
    const token = await sign(await idp.addKey('k2'), { kid: 'k2' }, claims())
    ahead += 5_000
    await using client = await connected(scene, token)
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    idp.keys = known
    ahead += 30_000
    const error = await turnedAway(token)
    assert.equal(error.code, '28P01')
    assert.match(error.message, /a key that its issuer does not publish/)
  })

  it('cannot be verified while its issuer is down: that is no fault of the token, and nobody comes in', async () => {
    idp.instead.set('/jwks', (_request, response) => void response.writeHead(500).end())
    idp.instead.set('/.well-known/openid-configuration', (_request, response) => void response.writeHead(500).end())
    const unknown = await sign(await idp.addKey('k3'), { kid: 'k3' }, claims())
    await scene.restart()
    const error = await turnedAway(unknown)
    idp.instead.clear()
    assert.equal(error.code, 'SP004')
    assert.match(error.message, /^The token cannot be verified: the keys of http:\/\/127\.0\.0\.1:\d+ cannot be read/)
    assert.deepEqual(await scene.roles(), [])
  })
})
