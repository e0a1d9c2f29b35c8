import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { sign, startIdp, type FakeIdp } from '../../src/identity/idp.fake.ts'
import { frame, str, u32, untyped, val } from '../frames-builder.ts'
import { fields, rawConnect } from '../raw-client.ts'
import { startScene, type Scene } from '../scene.ts'
import { libraries } from './psql.ts'

const WITHOUT_COMPILER = await withoutCompiler()

let scene: Scene
let idp: FakeIdp
let other: FakeIdp
let token: string

before(async () => {
  ;[idp, other] = await Promise.all([startIdp(), startIdp()])
  const key = await idp.addKey('k1')
  const now = Math.floor(Date.now() / 1000)
  const times = { iat: now, exp: now + 600 }
  const claims = { iss: idp.issuer, aud: 'sallyport', sub: 'bot-7', groups: ['data-agents'], ...times }
  token = await sign(key, { kid: 'k1' }, claims)
  const provider = (name: string, issuer: string): object => ({
    name,
    kind: 'agent',
    oidc: { issuer, audience: 'sallyport', groups: 'groups' },
    may_assert: ['data-*'],
  })
  scene = await startScene({ config: { identity: [provider('corp', idp.issuer), provider('ci', other.issuer)] } })
})
after(async () => {
  await scene?.[Symbol.asyncDispose]()
  await Promise.all([idp?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
})

const CONFIGURATION = '/.well-known/openid-configuration'
const response = (text: string): Buffer => Buffer.from(text, 'latin1')
const bearer = (given: string): Buffer => response(`n,,\u0001auth=Bearer ${given}\u0001\u0001`)
const initial = (data: Buffer | null, mechanism = 'OAUTHBEARER'): Buffer => frame('p', str(mechanism), val(data))
const dummy = frame('p', response('\u0001'))

type Heard = { readonly type: string; readonly body: Buffer }

/** A client over TLS that says these, each after what comes to the one before; all that it hears. */
async function exchange(user: string, ...said: readonly Buffer[]): Promise<readonly Heard[]> {
  const socket = connect({
    port: scene.gateway.postgres.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['postgresql'],
  })
  await once(socket, 'secureConnect')
  const heard: Heard[] = []
  const parameters = ['user', user, 'database', 'orders'].map(str)
  for (const message of [untyped(u32(3 << 16), ...parameters, Buffer.of(0)), ...said]) {
    socket.write(message)
    heard.push(...(await hear(socket)))
    if (heard.at(-1)!.type !== 'R' || heard.at(-1)!.body.readInt32BE(0) === 0) break
  }
  socket.destroy()
  return heard
}

/** Up to a request for more, the end of the start, or an error. */
async function hear(socket: TLSSocket): Promise<readonly Heard[]> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    const whole = bytes.length >= 5 && bytes.length > bytes.readUInt32BE(1)
    if (!whole) continue
    const end = 1 + bytes.readUInt32BE(1)
    return [{ type: String.fromCharCode(bytes[0]!), body: bytes.subarray(5, end) }]
  }
  return [{ type: 'end', body: Buffer.alloc(0) }]
}

const asked = ({ type, body }: Heard): string => `${type} ${body.length < 4 ? '' : body.readInt32BE(0)}`
const error = (heard: readonly Heard[]): ReadonlyMap<string, string> => {
  assert.equal(heard.at(-1)?.type, 'E', heard.map(asked).join(', '))
  return fields(heard.at(-1)!.body)
}

describe('OAUTHBEARER', () => {
  it('is asked for from the user oauth over TLS, and takes the token that a password would be', async () => {
    const heard = await exchange('oauth', initial(bearer(token)))
    assert.deepEqual(heard.map(asked), ['R 10', 'R 0'])
    assert.equal(heard[0]!.body.toString('latin1', 4), 'OAUTHBEARER\0\0')
    const opened = (await scene.records()).findLast((record) => record.type === 'session.opened')
    assert.equal(opened?.who.id, 'corp/bot-7')
    assert.ok(!JSON.stringify(await scene.records()).includes(token), 'the token is in the log')
  })

  it('asks again for a response that the client has not sent with its first message', async () => {
    const heard = await exchange('oauth', initial(null), frame('p', bearer(token)))
    assert.deepEqual(heard.map(asked), ['R 10', 'R 11', 'R 0'])
    assert.equal(heard[1]!.body.length, 4)
  })

  const issuers: Readonly<Record<string, () => string>> = {
    oauth: () => idp.issuer,
    'oauth:corp': () => idp.issuer,
    'oauth:ci': () => other.issuer,
  }
  for (const [user, issuer] of Object.entries(issuers)) {
    it(`tells the user ${user} who has no token where to get one, and refuses`, async () => {
      const heard = await exchange(user, initial(response('n,,\u0001auth=\u0001\u0001')), dummy)
      assert.deepEqual(JSON.parse(heard[1]!.body.toString('utf8', 4)), {
        status: 'invalid_token',
        'openid-configuration': issuer() + CONFIGURATION,
        scope: 'openid',
      })
      assert.equal(error(heard).get('C'), '28000')
    })
  }

  it('refuses a token that is not taken in the same way, with the reason', async () => {
    const heard = await exchange('oauth', initial(bearer('a.b.c')), dummy)
    assert.equal(asked(heard[1]!), 'R 11')
    assert.equal(error(heard).get('C'), '28000')
    assert.match(error(heard).get('M')!, /^The token /)
  })

  it('lets nobody in who goes on behind a failure', async () => {
    const heard = await exchange('oauth', initial(bearer('a.b.c')), frame('p', bearer(token)))
    assert.equal(error(heard).get('C'), 'SP007')
  })

  const malformed: Readonly<Record<string, () => Buffer>> = {
    'another mechanism': () => initial(bearer(token), 'SCRAM-SHA-256'),
    'an empty response': () => initial(Buffer.alloc(0)),
    'channel binding': () => initial(response(`p=tls-exporter,,\u0001auth=Bearer ${token}\u0001\u0001`)),
    'an authorization identity': () => initial(response(`n,a=root,\u0001auth=Bearer ${token}\u0001\u0001`)),
    'no end': () => initial(response(`n,,\u0001auth=Bearer ${token}\u0001`)),
    'something behind the end': () => initial(response(`n,,\u0001auth=Bearer ${token}\u0001\u0001x`)),
    'two tokens': () => initial(response(`n,,\u0001auth=Bearer ${token}\u0001auth=Bearer ${token}\u0001\u0001`)),
    'no token at all': () => initial(response('n,,\u0001host=x\u0001\u0001')),
    'another scheme': () => initial(response(`n,,\u0001auth=Basic ${token}\u0001\u0001`)),
    'a key that is no word': () => initial(response(`n,,\u0001a-b=1\u0001auth=Bearer ${token}\u0001\u0001`)),
    'a NUL in a value': () => initial(response(`n,,\u0001host=\0\u0001auth=Bearer ${token}\u0001\u0001`)),
    'a length that is not its own': () => frame('p', str('OAUTHBEARER'), u32(4), bearer(token)),
    'a message too long': () => initial(bearer('x'.repeat(17_000))),
    'a Query': () => frame('Q', str('SELECT 1')),
    'a FunctionCall': () => frame('F', Buffer.alloc(10)),
  }
  for (const [what, message] of Object.entries(malformed)) {
    it(`lets nobody in with ${what}`, async () => {
      const heard = await exchange('oauth', message())
      assert.equal(error(heard).get('C'), 'SP007')
    })
  }

  it('keeps what else a client says, in any order', async () => {
    const said = response(`y,,\u0001host=db.example\u0001port=5432\u0001auth=bearer ${token}\u0001\u0001`)
    assert.deepEqual((await exchange('oauth', initial(said))).map(asked), ['R 10', 'R 0'])
  })

  it('is for nobody else: not for other users, not without TLS, not with a provider that there is not', async () => {
    for (const user of ['agent', 'oauthor', 'oauth:', 'oauth:nobody', 'OAUTH'])
      assert.deepEqual((await exchange(user, frame('p', str(token)))).map(asked), ['R 3', 'R 0'], user)
    await using client = await rawConnect({
      port: scene.gateway.postgres.port,
      user: 'oauth',
      password: token,
    })
    assert.equal(client.socket.closed, false)
  })

  it('is taken by libpq 18, which finds the issuer by asking', { skip: WITHOUT_COMPILER }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-oauth-'))
    try {
      const client = join(directory, 'client')
      const source = join(import.meta.dirname, 'oauth-client.c')
      await run('cc', ['-o', client, source, join(libraries(), 'libpq.so.5.18'), `-Wl,-rpath,${libraries()}`])
      const certificate = join(directory, 'gateway.crt')
      await writeFile(certificate, scene.gateway.tls.certificate)
      const conninfo = `host=127.0.0.1 port=${scene.gateway.postgres.port} dbname=orders user=oauth
        sslmode=verify-full sslrootcert=${certificate} oauth_issuer=${idp.issuer} oauth_client_id=psql`
      const told = `told ${idp.issuer}${CONFIGURATION} openid\n`
      assert.equal(await run(client, [conninfo, token]), `${told}rows: 3\n`)
      assert.match(await run(client, [conninfo, 'a.b.c']), /^told .*\nfailed: .*FATAL: {2}The token /s)
      const stranger = conninfo.replace(idp.issuer, other.issuer)
      assert.match(await run(client, [stranger, token]), /^failed: .*is incompatible with oauth_issuer/s)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

/** What a program prints on its standard output, whatever its end. */
function run(file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, PGOAUTHDEBUG: 'UNSAFE', LD_LIBRARY_PATH: libraries() }
  return new Promise((resolve, reject) => {
    execFile(file, args, { env, timeout: 20_000 }, (cause, stdout, stderr) => {
      if (file === 'cc' && cause) reject(new Error(stderr, { cause }))
      else resolve(stdout)
    })
  })
}

async function withoutCompiler(): Promise<string | false> {
  const found = await run('cc', ['--version']).then(
    () => true,
    () => false,
  )
  return found || process.env.CI ? false : 'no C compiler is installed'
}
