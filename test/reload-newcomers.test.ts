import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Client } from 'pg'
import { serverTls } from '../src/gateway/certificate.ts'
import { sign, startIdp } from '../src/identity/idp.fake.ts'
import {
  farewell,
  lineOf,
  NO_ORDERS,
  orders,
  SLOWLY,
  startReloadScene,
  UNMASK,
  type ReloadScene,
} from './reload-scene.ts'
import type { Shop } from './shop.ts'
import { within } from './waiting.ts'

describe('a gateway that changes under those who come in', () => {
  let scene: ReloadScene
  before(async () => (scene = await startReloadScene()))
  after(() => scene[Symbol.asyncDispose]())
  afterEach(() => scene.restore())

  it('lets nobody in by rules that came to an end while they were being let in', async () => {
    await scene.writePolicies(UNMASK)
    await scene.api('config/reload', {})
    const meanwhile = async (
      who: string,
      change: () => Promise<unknown>,
    ): Promise<{ readonly end: Promise<unknown> }> => {
      await using _pause = await pauseRoles(scene.shop)
      const coming = scene.connect(who).then(
        (client) => farewell(client).then(({ code }) => code),
        (error: { readonly code?: string }) => error.code,
      )
      await within('the role is being made', async () => (await waitingRoles()) > 0, SLOWLY)
      await change()
      assert.equal('refused' in (await scene.api('config/reload', {})), false)
      return { end: coming }
    }
    const cases: readonly (readonly [string, string, () => Promise<unknown>])[] = [
      ['28000', scene.analyst, () => scene.writePolicies('')],
      [
        '42501',
        scene.token,
        () =>
          writeFile(scene.policies, scene.original.policies.replace('"data-agents", action ==', '"nobody", action ==')),
      ],
      ['28000', scene.token, () => scene.writeConfig((config) => ({ ...config, targets: [] }))],
    ]
    for (const [code, who, change] of cases) {
      const { end } = await meanwhile(who, change)
      assert.equal(await end, code)
      await within('no role is left', async () => (await scene.shop.roles()).length === 0, SLOWLY)
      await writeFile(scene.policies, scene.original.policies + UNMASK)
      await writeFile(scene.shop.config, scene.original.config)
      await scene.api('config/reload', {})
    }
  })

  it('takes a new identity provider, and ends the sessions of one that is removed', async () => {
    await using idp = await startIdp()
    const key = await idp.addKey('k1')
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: idp.issuer, aud: 'sallyport', sub: 'bot', groups: ['data-agents'], iat: now, exp: now + 600 }
    const foreign = await sign(key, { kid: 'k1' }, claims)
    await assert.rejects(scene.connect(foreign), { code: '28P01', message: /unknown issuer/ })
    const corp = { name: 'corp', kind: 'agent', oidc: { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' } }
    const own = await scene.connect()
    await scene.reloads(() =>
      scene.writeConfig((config) => ({ ...config, identity: [{ ...corp, may_assert: ['data-*'] }] })),
    )
    const client = await scene.connect(foreign)
    assert.equal(await orders(client), 3)
    await scene.reloads(() => scene.writeConfig((config) => ({ ...config, identity: [corp] })))
    assert.equal(await orders(client), 3)
    await assert.rejects(scene.connect(foreign), { code: '42501' })
    const told = farewell(client)
    await scene.reloads(() => writeFile(scene.shop.config, scene.original.config))
    const { code, message } = await told
    assert.deepEqual([code, message], ['28000', 'The identity provider corp was removed from the gateway.'])
    await assert.rejects(scene.connect(foreign), { code: '28P01', message: /unknown issuer/ })
    assert.equal(await orders(own), 3)
  })

  it('shows a renewed certificate to the next connection, and refuses one without its key', async () => {
    const [first, second] = await Promise.all([certificate('one'), certificate('two')])
    const tls = { cert: './tls.crt', key: './tls.key' }
    const use = async ({ cert, key }: { cert: string; key: string }): Promise<void> => {
      await writeFile(join(scene.shop.directory, 'tls.crt'), cert)
      await writeFile(join(scene.shop.directory, 'tls.key'), key)
    }
    await use(first)
    await scene.reloads(() => scene.writeConfig((config) => ({ ...config, tls })))
    assert.equal(await shownCertificate(scene.gateway.admin), first.fingerprint)
    await scene.reloads(() => use(second))
    assert.deepEqual((await scene.last('config.reloaded')).changed, ['tls'])
    assert.equal(await shownCertificate(scene.gateway.admin), second.fingerprint)
    await scene.refuses(() => use({ ...first, key: second.key }))
    const text = 'tls: the certificate and the key cannot be used together'
    assert.deepEqual((await scene.last('config.refused')).errors, [
      `${scene.shop.config}:${await lineOf(scene.shop.config, '"tls"')}: ${text}`,
    ])
    assert.equal(await shownCertificate(scene.gateway.admin), second.fingerprint)
  })

  it('follows the links by which Kubernetes replaces a directory', async () => {
    const mount = join(scene.shop.directory, 'mount')
    const publish = async (version: string, more: string): Promise<void> => {
      await mkdir(join(mount, version), { recursive: true })
      await writeFile(join(mount, version, 'all.cedar'), scene.original.policies + more)
      await symlink(version, join(mount, '..data_tmp'))
      await rename(join(mount, '..data_tmp'), join(mount, '..data'))
    }
    await publish('..1', '')
    await symlink(join('..data', 'all.cedar'), join(mount, 'all.cedar'))
    const client = await scene.connect()
    await scene.writeConfig((config) => ({ ...config, policies: './mount' }))
    await scene.api('config/reload', {})
    assert.equal(await orders(client), 3)
    await scene.reloads(() => publish('..2', NO_ORDERS))
    await assert.rejects(orders(client), { code: '42501' })
  })

  it('names every key that needs a restart, with its line', async () => {
    const web = { name: 'web', http: { url: 'http://127.0.0.1:9', lease: { bearer: 'file:./admin-url' } } }
    await scene.refuses(() =>
      scene.writeConfig((config) => ({
        ...config,
        targets: [...config.targets, web],
        data: './elsewhere',
        url: 'http://gw',
      })),
    )
    const { errors } = await scene.last('config.refused')
    assert.deepEqual(
      errors.map((error) => error.split(': ')[1] ?? ''),
      ['targets[1].http', 'data', 'url'],
    )
    for (const [index, text] of ['"http": {', '"data"', '"url": "http://gw"'].entries()) {
      assert.ok(
        errors[index]?.startsWith(`${scene.shop.config}:${await lineOf(scene.shop.config, text)}: `),
        String(errors[index]),
      )
    }
  })

  const waitingRoles = async (): Promise<number> =>
    (
      await scene.shop.truth(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE ROLE%'`,
      )
    ).length
})

/** Nobody can make a role until it is disposed. */
async function pauseRoles({ postgres }: Shop): Promise<AsyncDisposable> {
  const client = new Client({ connectionString: postgres.admin })
  await client.connect()
  await client.query('BEGIN; LOCK TABLE pg_authid IN SHARE MODE')
  return { [Symbol.asyncDispose]: () => client.end() }
}

async function certificate(name: string): Promise<{ cert: string; key: string; fingerprint: string }> {
  const directory = await mkdtemp(join(tmpdir(), `sallyport-certificate-${name}-`))
  try {
    const { certificate: cert, key, fingerprint } = await serverTls(directory, undefined, [])
    return { cert, key, fingerprint }
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function shownCertificate(port: number): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}
