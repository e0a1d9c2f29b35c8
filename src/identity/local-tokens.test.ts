import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { importJWK, type CryptoKey } from 'jose'
import type { ProviderConfig } from '../config/providers.ts'
import type { Identity } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { createAuthenticate } from './authenticate.ts'
import { sign } from './idp.fake.ts'
import { openLocalTokens, type TokenRequest } from './local-tokens.ts'

const NOW = 1_800_000_000_000
let now = NOW
const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() }
const installation = '0a1b2c3d'
const issuer = `sallyport:${installation}`

let root = ''
let dataDir = ''
before(async () => (root = await mkdtemp(join(tmpdir(), 'tokens-'))))
after(() => rm(root, { recursive: true }))
beforeEach(async () => {
  now = NOW
  dataDir = await mkdtemp(join(root, 'data-'))
})

const open = () => openLocalTokens({ dataDir, installation, clock })
const bot: TokenRequest = { kind: 'Agent', name: 'bot', groups: ['data-agents'] }

async function authenticate(token: string) {
  const result = await createAuthenticate({ providers: [], local: await open(), clock })(token)
  return 'identity' in result ? result.identity : result.refusal.message
}

describe('a token of the gateway itself', () => {
  it('gives the identity it was made for, an hour long', async () => {
    const token = await (await open()).mint({ ...bot, person: 'a@x.example' })
    assert.deepEqual(await authenticate(token), {
      kind: 'Agent',
      provider: 'local',
      subject: 'bot',
      groups: ['data-agents'],
      person: 'a@x.example',
      expiresAt: NOW + 3_600_000,
    })
    now += 3_600_000
    assert.match((await authenticate(token)) as string, /has expired/)
  })

  it('is made only of names, groups, persons and times that fit', async () => {
    const local = await open()
    const bad: object[] = [
      ...['', 'a/b', 'a b', 'a\n', 'é', "a'", 'x'.repeat(101)].map((name) => ({ name })),
      ...[['a\0'], [''], ['x'.repeat(256)], Array.from({ length: 101 }, (_, i) => `g${i}`)].map((groups) => ({
        groups,
      })),
      ...[0, 999, -1, 1.5, NaN, Infinity, 30 * 86_400_000 + 1].map((forMs) => ({ forMs })),
      { person: '' },
      { person: 'a\u202e' },
      { kind: 'agent' },
      { kind: 'Admin' },
    ]
    for (const more of bad) {
      const made = local.mint({ ...bot, ...more })
      await assert.rejects(made, (error) => error instanceof Fault && error.code === 'usage', JSON.stringify(more))
    }
    assert.notEqual(typeof (await authenticate(await local.mint({ ...bot, forMs: 30 * 86_400_000 }))), 'string')
  })

  it('is refused by another installation and when made with another key', async () => {
    const token = await (await open()).mint(bot)
    const other = await openLocalTokens({ dataDir, installation: 'ffffffff', clock })
    const result = await createAuthenticate({ providers: [], local: other, clock })(token)
    assert.match('refusal' in result ? result.refusal.message : '', /unknown issuer/)
    dataDir = await mkdtemp(join(root, 'data-'))
    assert.match((await authenticate(token)) as string, /no valid signature/)
  })

  it('is held to the same rules as any other, although the signature is ours', async () => {
    await open()
    const jwk = JSON.parse(await readFile(join(dataDir, 'keys', 'token.jwk'), 'utf8')) as object
    const key = (await importJWK(jwk, 'Ed25519')) as CryptoKey
    const seconds = NOW / 1000
    const good = { iss: issuer, aud: issuer, sub: 'bot', kind: 'Agent', groups: [], iat: seconds, exp: seconds + 60 }
    assert.equal(typeof (await authenticate(await sign(key, { alg: 'Ed25519' }, good))), 'object')
    const bad: object[] = [
      { exp: undefined },
      { exp: seconds + 31 * 86_400 },
      { aud: 'x' },
      { sub: undefined },
      { sub: 'a/b' },
      { iat: seconds + 99 },
      { kind: 'agent' },
      { kind: undefined },
      { groups: 'dba' },
      { groups: [['dba']] },
      { groups: undefined },
      { person: 5 },
    ]
    for (const more of bad) {
      const token = await sign(key, { alg: 'Ed25519' }, { ...good, ...more })
      assert.equal(typeof (await authenticate(token)), 'string', JSON.stringify(more))
    }
  })
})

describe('a token of the gateway for somebody whom a provider vouched for', () => {
  const ada: Identity = {
    kind: 'User',
    provider: 'corp',
    subject: 'ada@x/é',
    groups: ['staff'],
    expiresAt: NOW + 60_000,
  }
  const bot: Identity = { ...ada, kind: 'Agent', provider: 'ci', subject: 'repo:a/b', groups: [], onBehalfOf: ada }
  const corp = { kind: [{ kind: 'User', claims: {} }], oidc: { issuer: 'https://idp', audience: 'a' } } as const
  const known = ['corp', 'ci'].map((name) => ({ ...corp, name, oidc: { ...corp.oidc, audience: name } }))
  const read = async (token: string, providers: readonly ProviderConfig[] = known) => {
    const result = await createAuthenticate({ providers, local: await open(), clock })(token)
    return 'identity' in result ? result.identity : result.refusal.message
  }

  it('gives the very identity, with everybody it acts for', async () => {
    const { token, expiresAt } = (await (await open()).issue({ identity: bot, expiresAt: bot.expiresAt }))!
    assert.deepEqual([await read(token), expiresAt], [bot, NOW + 60_000])
  })

  it('lives an hour at most', async () => {
    const { token, expiresAt } = (await (await open()).issue({ identity: ada, expiresAt: NOW + 86_400_000 }))!
    assert.equal(expiresAt, NOW + 3_600_000)
    now += 3_600_000
    assert.match((await read(token)) as string, /has expired/)
  })

  it('is refused once one of the providers is no longer in the config', async () => {
    const { token } = (await (await open()).issue({ identity: bot, expiresAt: bot.expiresAt }))!
    for (const gone of [known.slice(0, 1), known.slice(1), []]) {
      assert.match((await read(token, gone)) as string, /was removed from the gateway/)
    }
  })

  it('is refused when it says what the gateway never writes, although the signature is its own', async () => {
    await open()
    const jwk = JSON.parse(await readFile(join(dataDir, 'keys', 'token.jwk'), 'utf8')) as object
    const key = (await importJWK(jwk, 'Ed25519')) as CryptoKey
    const seconds = NOW / 1000
    const link = (sub: string, kind: string, act?: unknown) => ({ provider: 'corp', sub, kind, groups: [], act })
    const good = { iss: issuer, aud: issuer, iat: seconds, exp: seconds + 60 }
    const make = (claims: object) => sign(key, { alg: 'Ed25519' }, { ...good, ...claims })
    const nest = (depth: number): unknown => (depth === 0 ? undefined : link('a', 'Agent', nest(depth - 1)))
    assert.equal(typeof (await read(await make(link('ada', 'User', nest(3))))), 'object')
    const bad: object[] = [
      link('ada', 'User', nest(4)),
      link('ada', 'Agent', nest(1)),
      link('ada', 'User', link('bob', 'User')),
      link('ada', 'User', { ...link('a', 'Agent'), sub: 'a\nb' }),
      link('ada', 'User', { sub: 'a' }),
      link('ada', 'User', 'bot'),
      link('ada', 'User', null),
      link('ada', 'User', [link('a', 'Agent')]),
      { ...link('ada', 'User'), provider: 5 },
      { ...link('a b', 'User'), provider: 'local' },
      { ...link('ada', 'User'), exp: seconds + 3601 },
      { ...link('ada', 'User', nest(1)), provider: undefined },
    ]
    for (const claims of bad) assert.equal(typeof (await read(await make(claims))), 'string', JSON.stringify(claims))
  })
})

describe('the key of the gateway’s tokens', () => {
  it('is made once, for its owner only, also when many ask at once', async () => {
    const [first, ...others] = await Promise.all(Array.from({ length: 8 }, open))
    const token = await first!.mint(bot)
    for (const local of others) {
      assert.ok('identity' in (await createAuthenticate({ providers: [], local, clock })(token)))
    }
    assert.equal(typeof (await authenticate(await others[0]!.mint(bot))), 'object')
    assert.equal((await stat(join(dataDir, 'keys'))).mode & 0o777, 0o700)
    assert.equal((await stat(join(dataDir, 'keys', 'token.jwk'))).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(dataDir, 'keys')), ['token.jwk'])
  })

  it('is not used when others could have read it, or when it is broken', async () => {
    await open()
    const file = join(dataDir, 'keys', 'token.jwk')
    for (const [path, mode, back] of [
      [file, 0o640, 0o600],
      [join(dataDir, 'keys'), 0o755, 0o700],
    ] as const) {
      await chmod(path, mode)
      await assert.rejects(open(), (error) => error instanceof Fault && /chmod go=/.test(error.message))
      await chmod(path, back)
    }
    for (const text of ['', '{"d":"hunter2"', '{"kty":"oct","k":"AAAA"}']) {
      await writeFile(file, text)
      await assert.rejects(
        open(),
        (error) => error instanceof Fault && !/hunter2/.test(String(error.stack) + String(error.cause)),
      )
    }
  })
})
