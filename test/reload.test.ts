import assert from 'node:assert/strict'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import { sallyport } from './command.ts'
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
import { within } from './waiting.ts'

describe('a gateway whose config or policies change', () => {
  let scene: ReloadScene
  before(async () => (scene = await startReloadScene()))
  after(() => scene[Symbol.asyncDispose]())
  afterEach(() => scene.restore())
  const pid = async (client: Client): Promise<unknown> =>
    (await client.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid

  it('decides the next statement of a live session by the new policies, on the same connection', async () => {
    const client = await scene.connect()
    const before = await pid(client)
    assert.equal(await orders(client), 3)
    const { policy: old } = await scene.last('operation')
    await scene.reloads(() => scene.writePolicies(NO_ORDERS))
    await assert.rejects(orders(client), { severity: 'ERROR', code: '42501', message: /no-orders/ })
    const denied = await scene.last('operation')
    assert.deepEqual([denied.decision, denied.rules], ['deny', ['no-orders']])
    assert.notEqual(denied.policy, old)
    const { policy, changed } = await scene.last('config.reloaded')
    assert.deepEqual([policy, changed], [denied.policy, ['policies']])
    assert.equal(await pid(client), before)

    await scene.reloads(() => scene.writePolicies(''))
    assert.equal(await orders(client), 3)
    assert.equal((await scene.last('operation')).policy, old)
  })

  it('refuses a broken policy with file, line and column, goes on with the old ones, and takes the mended one', async () => {
    const client = await scene.connect()
    assert.equal(await orders(client), 3)
    const { policy } = await scene.last('operation')
    await scene.refuses(() => scene.writePolicies(`${NO_ORDERS}\n@id("x")\npermit (principal, action, resurce);`))
    const place = `${scene.policies}:${await lineOf(scene.policies, 'resurce')}:28: `
    assert.ok(scene.gateway.said().stderr.includes(place), scene.gateway.said().stderr)
    const refused = await scene.last('config.refused')
    assert.ok(refused.errors[0]?.startsWith(place))
    assert.equal(refused.policy, policy)
    assert.equal(await orders(client), 3)
    assert.equal((await scene.last('operation')).policy, policy)

    await scene.reloads(() => scene.writePolicies(NO_ORDERS))
    await assert.rejects(orders(client), { code: '42501' })
  })

  it('refuses a broken config with file and line, and says so to those who ask', async () => {
    const client = await scene.connect()
    await scene.refuses(() => writeFile(scene.shop.config, scene.original.config.replace('"targets"', '"targetts"')))
    const place = `${scene.shop.config}:${await lineOf(scene.shop.config, 'targetts')}: targetts: unknown key, did you mean "targets"?`
    assert.deepEqual((await scene.last('config.refused')).errors, [place])
    assert.ok(scene.gateway.said().stderr.includes(place))
    assert.equal(await orders(client), 3)
    const admin = `http://127.0.0.1:${scene.gateway.admin}`
    assert.deepEqual(await (await fetch(`${admin}/healthz`)).json(), { status: 'ok', config: 'refused' })
    assert.equal((await fetch(`${admin}/readyz`)).status, 200)
    assert.deepEqual(((await scene.api('config')).refused as { errors: unknown }).errors, [place])
    const environment = { SALLYPORT_URL: admin, SALLYPORT_TOKEN: scene.operator }
    const again = await sallyport(['reload'], environment)
    assert.deepEqual([again.code, again.stdout, again.stderr], [1, '', `${place}\n`])

    await writeFile(scene.shop.config, scene.original.config)
    const mended = await sallyport(['reload', '--json'], environment)
    assert.equal(mended.code, 0)
    assert.equal('refused' in (JSON.parse(mended.stdout) as object), false)
    assert.deepEqual(await (await fetch(`${admin}/healthz`)).json(), { status: 'ok' })
    const { code, stderr } = await sallyport(['reload'], { ...environment, SALLYPORT_TOKEN: scene.token })
    assert.deepEqual([code, stderr.split('\n')[0]], [1, 'Only a person, in their own name, may do this.'])
  })

  it('refuses a file that is no YAML, and one that is gone', async () => {
    const client = await scene.connect()
    await scene.refuses(() => writeFile(scene.shop.config, 'version: 1\ntargets: [\n'))
    assert.match((await scene.last('config.refused')).errors[0]!, /sallyport\.yaml:\d+: /)
    await scene.refuses(() => rm(scene.shop.config))
    assert.match(
      (await scene.last('config.refused')).errors[0]!,
      /sallyport\.yaml:1: the file cannot be read \(ENOENT\)/,
    )
    assert.equal(await orders(client), 3)
    await scene.reloads(() => writeFile(scene.shop.config, scene.original.config))
  })

  it('refuses all of a change when a part of it needs a restart', async () => {
    const client = await scene.connect()
    await scene.refuses(async () => {
      await scene.writePolicies(NO_ORDERS)
      await scene.writeConfig((config) => ({ ...config, listen: { ...config.listen, postgres: '127.0.0.1:5999' } }))
    })
    const line = await lineOf(scene.shop.config, '5999')
    const text = 'cannot be changed while the gateway runs: it needs a restart'
    assert.deepEqual((await scene.last('config.refused')).errors, [
      `${scene.shop.config}:${line}: listen.postgres: ${text}`,
    ])
    assert.equal(await orders(client), 3)
    await scene.reloads(() => writeFile(scene.shop.config, scene.original.config))
    await assert.rejects(orders(client), { code: '42501' })
  })

  it('notices a file that is replaced by renaming, and reloads at once on SIGHUP', async () => {
    const client = await scene.connect()
    const draft = join(scene.shop.directory, 'policies', '.scene.cedar.swp')
    await scene.reloads(async () => {
      await writeFile(draft, scene.original.policies + NO_ORDERS)
      await rename(draft, scene.policies)
    })
    await assert.rejects(orders(client), { code: '42501' })
    await scene.reloads(async () => {
      await scene.writePolicies('')
      scene.gateway.kill('SIGHUP')
    })
    assert.equal(await orders(client), 3)
  })

  it('ends the sessions of a target that is removed, revokes their leases, and takes it back later', async () => {
    const client = await scene.connect()
    const [role] = await scene.shop.roles()
    const told = farewell(client)
    await scene.reloads(() => scene.writeConfig((config) => ({ ...config, targets: [] })))
    const { code, message } = await told
    assert.deepEqual([code, message], ['28000', 'Target orders was removed from the gateway.'])
    await within('the role is gone', async () => (await scene.shop.roles()).length === 0, SLOWLY)
    await within('that is recorded', async () => (await scene.last('lease.revoked'))?.lease === role, SLOWLY)
    assert.equal((await scene.last('lease.revoked')).verified, true)
    assert.deepEqual((await scene.last('config.reloaded')).changed, ['targets.orders'])
    await assert.rejects(scene.connect(), { code: '42501', message: /No rule permits connect on Target orders/ })

    await scene.reloads(() => writeFile(scene.shop.config, scene.original.config))
    assert.equal(await orders(await scene.connect()), 3)
  })

  it('leaves the sessions of a changed target where they are, and revokes their leases with the old login', async () => {
    await scene.shop.truth(`CREATE ROLE other LOGIN CREATEROLE PASSWORD 'other-password';
      GRANT orders_writer TO other WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT orders_owner TO other WITH INHERIT TRUE, SET TRUE`)
    await writeFile(
      join(scene.shop.directory, 'other-url'),
      scene.shop.postgres.url('orders', 'other', 'other-password'),
    )
    const client = await scene.connect()
    const before = await pid(client)
    const [role] = await scene.shop.roles()
    const lease = {
      'postgres-role': { admin: 'file:./other-url', member_of: ['orders_writer'], owner: 'orders_owner' },
    }
    await scene.reloads(() => scene.withTarget({ lease }))
    assert.equal(await pid(client), before)
    const later = await scene.connect()
    assert.equal(await orders(later), 3)
    const grantors = await scene.shop.truth(
      `SELECT m.roleid::regrole::text AS role, m.member::regrole::text AS admin FROM pg_auth_members m
       WHERE m.admin_option AND m.roleid::regrole::text LIKE 'sp\\_%' ORDER BY 2`,
    )
    assert.deepEqual(
      grantors.map(({ admin }) => admin),
      ['other', 'sallyport'],
    )
    assert.equal(grantors[1]?.role, role)
    await client.end()
    await within('the old role is gone', async () => !(await scene.shop.roles()).includes(role!), SLOWLY)
    await within('that is recorded', async () => (await scene.last('lease.revoked'))?.lease === role, SLOWLY)
    assert.equal((await scene.last('lease.revoked')).verified, true)
    assert.equal(await orders(later), 3)
  })

  it('reads a secret in a file anew when the file changes', async () => {
    const url = join(scene.shop.directory, 'admin-url')
    const before = await readFile(url, 'utf8')
    await scene.reloads(() => writeFile(url, before.replace('sallyport:the-gateway', 'nobody:nothing')))
    await assert.rejects(scene.connect(), { code: 'SP004' })
    await scene.reloads(() => writeFile(url, before))
    assert.equal(await orders(await scene.connect()), 3)
    assert.doesNotMatch(JSON.stringify(await scene.records()), /the-gateway|nothing@/)
  })

  it('ends a session whose identity must not see what it saw, and no other', async () => {
    await scene.writePolicies(UNMASK)
    await scene.api('config/reload', {})
    const ann = await scene.connect(scene.analyst)
    const agent = await scene.connect()
    const name = async (client: Client): Promise<unknown> =>
      (await client.query('SELECT name FROM customers WHERE id = 1')).rows[0]?.name
    assert.deepEqual([await name(ann), await name(agent)], ['Ada', '***'])
    const told = farewell(ann)
    await scene.reloads(() => scene.writePolicies(''))
    const { code, message } = await told
    assert.deepEqual(
      [code, message],
      ['28000', 'What this session may see on target orders has changed: connect again.'],
    )
    assert.equal(await name(agent), '***')
    assert.equal(await name(await scene.connect(scene.analyst)), '***')
  })

  it('ends sessions that would show a column that is hidden now, whatever the policies say', async () => {
    const told = farewell(await scene.connect())
    await scene.reloads(() => scene.withTarget({ sensitive: { pii: ['public.customers.notes'], card: [] } }))
    assert.equal((await told).code, '28000')
    const { rows } = await (await scene.connect()).query('SELECT name, notes FROM customers WHERE id = 1')
    assert.deepEqual(rows, [{ name: 'Ada', notes: '***' }])
  })

  it('asks for an approval again when the policies no longer let a held operation run', async () => {
    const client = await scene.connect()
    const held = new Promise<{ readonly message?: string }>((resolve) => client.once('notice', resolve))
    const answer = client.query('UPDATE orders SET total = 1 WHERE id = 10').then(
      () => 'it ran',
      (error: { readonly code?: string }) => error.code,
    )
    const [approval] = /apr_[0-9a-f-]{36}/.exec((await held).message ?? '') ?? []
    await scene.writePolicies('@id("no-updates") forbid (principal, action == Action::"sql.update", resource);')
    await scene.api('config/reload', {})
    await scene.api(`approvals/${approval}/approve`, {})
    assert.equal(await answer, '42501')
    assert.deepEqual(await scene.shop.truth('SELECT total::float FROM orders WHERE id = 10'), [{ total: 99.5 }])
  })
})
