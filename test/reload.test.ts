import assert from 'node:assert/strict'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { StoredEntry } from '../src/record/entry.ts'
import { readLog } from '../src/record/read.ts'
import { connectTo, createToken, sallyport, serve, type Serving } from './command.ts'
import { startShop, type Shop } from './shop.ts'
import { within } from './waiting.ts'

type Target = { name: string; labels: object; postgres: Record<string, unknown> }
type ConfigFile = { listen: Record<string, string>; targets: Target[] } & Record<string, unknown>

/** Watching, reading and validating take their time on a busy machine; no test is about how long. */
const SLOWLY = 20_000

const NO_ORDERS = `
@id("no-orders")
forbid (principal, action in Action::"read", resource == Table::"orders/public.orders");`

const ANALYSTS = `
@id("analysts-connect") permit (principal in Group::"analysts", action == Action::"connect", resource == Target::"orders");
@id("analysts-read") permit (principal in Group::"analysts", action in Action::"read", resource in Target::"orders");`

const UNMASK = `
@id("analysts-see-pii") permit (principal in Group::"analysts", action == Action::"unmask", resource == DataClass::"orders/pii");`

describe('a gateway whose config or policies change', () => {
  let shop: Shop
  let gateway: Serving
  let token: string
  let original: { readonly config: string; readonly policies: string }
  let policies: string
  const clients: Client[] = []

  before(async () => {
    shop = await startShop({ rules: ANALYSTS })
    policies = join(shop.directory, 'policies', 'scene.cedar')
    original = { config: await readFile(shop.config, 'utf8'), policies: await readFile(policies, 'utf8') }
    token = await createToken(shop.config)
  })
  after(() => shop[Symbol.asyncDispose]())
  beforeEach(async () => {
    await writeFile(shop.config, original.config)
    await writeFile(policies, original.policies)
    gateway = await serve(shop.config)
  })
  afterEach(async () => {
    await Promise.allSettled(clients.splice(0).map((client) => client.end()))
    gateway.kill('SIGTERM')
    const { code } = await gateway.ended
    assert.equal(code, 0)
    assert.deepEqual(await shop.roles(), [])
  })

  const connect = async (given = token): Promise<Client> => {
    const client = await connectTo(gateway.postgres, given)
    clients.push(client)
    return client
  }
  const records = (): Promise<readonly StoredEntry[]> =>
    Array.fromAsync(readLog({ dir: join(shop.directory, 'sallyport-data', 'log') }))
  const last = async <T extends StoredEntry['type']>(type: T): Promise<Extract<StoredEntry, { type: T }>> =>
    (await records()).findLast((entry): entry is Extract<StoredEntry, { type: T }> => entry.type === type)!
  const count = (text: string | RegExp): number => {
    const { stdout, stderr } = gateway.said()
    return (stdout + stderr).split(text).length - 1
  }
  /** Changes files and waits until the gateway has taken them over, or refused to. */
  const after_ = async (outcome: 'reloaded:' | 'is refused', change: () => Promise<unknown>): Promise<void> => {
    const before = count(outcome)
    await change()
    await within(`the gateway says "${outcome}"`, async () => count(outcome) > before, SLOWLY)
  }
  const reloads = (change: () => Promise<unknown>): Promise<void> => after_('reloaded:', change)
  const refuses = (change: () => Promise<unknown>): Promise<void> => after_('is refused', change)
  const writePolicies = (more: string): Promise<void> => writeFile(policies, original.policies + more)
  const writeConfig = (change: (config: ConfigFile) => object): Promise<void> =>
    writeFile(shop.config, JSON.stringify(change(JSON.parse(original.config) as ConfigFile), null, 2))
  const withTarget = (keys: object) =>
    writeConfig(({ targets: [target], ...config }) => {
      return { ...config, targets: [{ ...target, postgres: { ...target!.postgres, ...keys } }] }
    })
  const lineOf = async (file: string, text: string): Promise<number> =>
    (await readFile(file, 'utf8')).split('\n').findIndex((line) => line.includes(text)) + 1
  const pid = async (client: Client): Promise<unknown> =>
    (await client.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid
  const orders = (client: Client): Promise<number | null> =>
    client.query('SELECT * FROM orders').then(({ rowCount }) => rowCount)
  const farewell = (client: Client): Promise<{ readonly code?: string; readonly message: string }> =>
    new Promise((resolve) => client.once('error', resolve))

  it('decides the next statement of a live session by the new policies, on the same connection', async () => {
    const client = await connect()
    const before = await pid(client)
    assert.equal(await orders(client), 3)
    const { policy: old } = await last('operation')
    await reloads(() => writePolicies(NO_ORDERS))
    await assert.rejects(orders(client), { severity: 'ERROR', code: '42501', message: /no-orders/ })
    const denied = await last('operation')
    assert.deepEqual([denied.decision, denied.rules], ['deny', ['no-orders']])
    assert.notEqual(denied.policy, old)
    const { policy, changed } = await last('config.reloaded')
    assert.deepEqual([policy, changed], [denied.policy, ['policies']])
    assert.equal(await pid(client), before)

    await reloads(() => writePolicies(''))
    assert.equal(await orders(client), 3)
    assert.equal((await last('operation')).policy, old)
  })

  it('refuses a broken policy with file, line and column, goes on with the old ones, and takes the mended one', async () => {
    const client = await connect()
    assert.equal(await orders(client), 3)
    const { policy } = await last('operation')
    await refuses(() => writePolicies(`${NO_ORDERS}\n@id("x")\npermit (principal, action, resurce);`))
    const place = `${policies}:${await lineOf(policies, 'resurce')}:28: `
    assert.ok(gateway.said().stderr.includes(place), gateway.said().stderr)
    const refused = await last('config.refused')
    assert.ok(refused.errors[0]?.startsWith(place))
    assert.equal(refused.policy, policy)
    assert.equal(await orders(client), 3)
    assert.equal((await last('operation')).policy, policy)

    await reloads(() => writePolicies(NO_ORDERS))
    await assert.rejects(orders(client), { code: '42501' })
    assert.equal(count('is refused'), 1)
  })

  it('refuses a broken config with file and line, and says so to those who ask', async () => {
    const client = await connect()
    await refuses(() => writeFile(shop.config, original.config.replace('"targets"', '"targetts"')))
    const place = `${shop.config}:${await lineOf(shop.config, 'targetts')}: targetts: unknown key, did you mean "targets"?`
    assert.deepEqual((await last('config.refused')).errors, [place])
    assert.ok(gateway.said().stderr.includes(place))
    assert.equal(await orders(client), 3)
    const admin = `http://127.0.0.1:${gateway.admin}`
    assert.deepEqual(await (await fetch(`${admin}/healthz`)).json(), { status: 'ok', config: 'refused' })
    assert.equal((await fetch(`${admin}/readyz`)).status, 200)
    const operator = await createToken(shop.config, '--user', 'ops', '--group', 'platform')
    const environment = { SALLYPORT_URL: admin, SALLYPORT_TOKEN: operator }
    const again = await sallyport(['reload'], environment)
    assert.deepEqual([again.code, again.stdout, again.stderr], [1, '', `${place}\n`])

    await writeFile(shop.config, original.config)
    const mended = await sallyport(['reload', '--json'], environment)
    assert.equal(mended.code, 0)
    assert.equal('refused' in (JSON.parse(mended.stdout) as object), false)
    assert.deepEqual(await (await fetch(`${admin}/healthz`)).json(), { status: 'ok' })
    const { code, stderr } = await sallyport(['reload'], { ...environment, SALLYPORT_TOKEN: token })
    assert.deepEqual([code, stderr.split('\n')[0]], [1, 'Only a person, in their own name, may do this.'])
  })

  it('refuses a file that is no YAML, and one that is gone', async () => {
    const client = await connect()
    await refuses(() => writeFile(shop.config, 'version: 1\ntargets: [\n'))
    assert.match((await last('config.refused')).errors[0]!, /sallyport\.yaml:\d+: /)
    await refuses(() => rm(shop.config))
    assert.match((await last('config.refused')).errors[0]!, /sallyport\.yaml:1: the file cannot be read \(ENOENT\)/)
    assert.equal(await orders(client), 3)
    await reloads(() => writeFile(shop.config, original.config))
  })

  it('refuses all of a change when a part of it needs a restart', async () => {
    const client = await connect()
    await refuses(async () => {
      await writePolicies(NO_ORDERS)
      await writeConfig((config) => ({ ...config, listen: { ...config.listen, postgres: '127.0.0.1:5999' } }))
    })
    const line = await lineOf(shop.config, '5999')
    const text = 'cannot be changed while the gateway runs: it needs a restart'
    assert.deepEqual((await last('config.refused')).errors, [`${shop.config}:${line}: listen.postgres: ${text}`])
    assert.equal(await orders(client), 3)
    await reloads(() => writeFile(shop.config, original.config))
    await assert.rejects(orders(client), { code: '42501' })
  })

  it('notices a file that is replaced by renaming, and reloads at once on SIGHUP', async () => {
    const client = await connect()
    const draft = join(shop.directory, 'policies', '.scene.cedar.swp')
    await reloads(async () => {
      await writeFile(draft, original.policies + NO_ORDERS)
      await rename(draft, policies)
    })
    await assert.rejects(orders(client), { code: '42501' })
    await reloads(async () => {
      await writePolicies('')
      gateway.kill('SIGHUP')
    })
    assert.equal(await orders(client), 3)
  })

  it('ends the sessions of a target that is removed, revokes their leases, and takes it back later', async () => {
    const client = await connect()
    const [role] = await shop.roles()
    const told = farewell(client)
    await reloads(() => writeConfig((config) => ({ ...config, targets: [] })))
    const { code, message } = await told
    assert.deepEqual([code, message], ['28000', 'Target orders was removed from the gateway.'])
    await within('the role is gone', async () => (await shop.roles()).length === 0, SLOWLY)
    await within('that is recorded', async () => (await last('lease.revoked'))?.lease === role, SLOWLY)
    assert.equal((await last('lease.revoked')).verified, true)
    assert.deepEqual((await last('config.reloaded')).changed, ['targets.orders'])
    await assert.rejects(connect(), { code: '42501', message: /No rule permits connect on Target orders/ })

    await reloads(() => writeFile(shop.config, original.config))
    assert.equal(await orders(await connect()), 3)
  })

  it('leaves the sessions of a changed target where they are, and revokes their leases with the old login', async () => {
    await shop.truth(`CREATE ROLE other LOGIN CREATEROLE PASSWORD 'other-password';
      GRANT orders_writer TO other WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT orders_owner TO other WITH INHERIT TRUE, SET TRUE`)
    await writeFile(join(shop.directory, 'other-url'), shop.postgres.url('orders', 'other', 'other-password'))
    const client = await connect()
    const before = await pid(client)
    const [role] = await shop.roles()
    const lease = { 'postgres-role': { admin: 'file:./other-url', member_of: ['orders_writer'], owner: 'orders_owner' } }
    await reloads(() => withTarget({ lease }))
    assert.equal(await pid(client), before)
    const later = await connect()
    assert.equal(await orders(later), 3)
    const grantors = await shop.truth(
      `SELECT m.roleid::regrole::text AS role, m.member::regrole::text AS admin FROM pg_auth_members m
       WHERE m.admin_option AND m.roleid::regrole::text LIKE 'sp\\_%' ORDER BY 2`,
    )
    assert.deepEqual(grantors.map(({ admin }) => admin), ['other', 'sallyport'])
    assert.equal(grantors[1]?.role, role)
    await client.end()
    await within('the old role is gone', async () => !(await shop.roles()).includes(role!), SLOWLY)
    await within('that is recorded', async () => (await last('lease.revoked'))?.lease === role, SLOWLY)
    assert.equal((await last('lease.revoked')).verified, true)
    assert.equal(await orders(later), 3)
  })

  it('reads a secret in a file anew when the file changes', async () => {
    const url = join(shop.directory, 'admin-url')
    const before = await readFile(url, 'utf8')
    await reloads(() => writeFile(url, before.replace('sallyport:the-gateway', 'nobody:nothing')))
    await assert.rejects(connect(), { code: 'SP004' })
    await reloads(() => writeFile(url, before))
    assert.equal(await orders(await connect()), 3)
    assert.doesNotMatch(JSON.stringify(await records()), /the-gateway|nothing@/)
  })

  it('ends a session whose identity must not see what it saw, and no other', async () => {
    await writePolicies(UNMASK)
    gateway.kill('SIGHUP')
    await within('it is in force', async () => count('reloaded:') > 0, SLOWLY)
    const analyst = await connect(await createToken(shop.config, '--user', 'ann', '--group', 'analysts'))
    const agent = await connect()
    const email = async (client: Client): Promise<unknown> =>
      (await client.query('SELECT email FROM customers WHERE id = 1')).rows[0]?.email
    assert.deepEqual([await email(analyst), await email(agent)], ['ada@example.com', '***'])
    const told = farewell(analyst)
    await reloads(() => writePolicies(''))
    const { code, message } = await told
    assert.deepEqual([code, message], ['28000', 'What this session may see on target orders has changed: connect again.'])
    assert.equal(await email(agent), '***')
    const again = await connect(await createToken(shop.config, '--user', 'ann', '--group', 'analysts'))
    assert.equal(await email(again), '***')
  })

  it('ends sessions that would show a column that is hidden now, whatever the policies say', async () => {
    const told = farewell(await connect())
    await reloads(() => withTarget({ sensitive: { pii: ['public.customers.email', 'public.customers.name'], card: [] } }))
    assert.equal((await told).code, '28000')
    const { rows } = await (await connect()).query('SELECT name FROM customers WHERE id = 1')
    assert.deepEqual(rows, [{ name: '***' }])
  })

  it('asks for an approval again when the policies no longer let a held operation run', async () => {
    const client = await connect()
    const held = new Promise<{ readonly message?: string }>((resolve) => client.once('notice', resolve))
    const answer = client.query('UPDATE orders SET total = 1 WHERE id = 10').then(
      () => 'it ran',
      (error: { readonly code?: string }) => error.code,
    )
    const [approval] = /apr_[0-9a-f-]{36}/.exec((await held).message ?? '') ?? []
    await writePolicies('@id("no-updates") forbid (principal, action == Action::"sql.update", resource);')
    gateway.kill('SIGHUP')
    await within('it is in force', async () => count('reloaded:') > 0, SLOWLY)
    const dba = await createToken(shop.config, '--user', 'dora', '--group', 'dba')
    const environment = { SALLYPORT_URL: `http://127.0.0.1:${gateway.admin}`, SALLYPORT_TOKEN: dba }
    assert.equal((await sallyport(['approve', approval!], environment)).code, 0)
    assert.equal(await answer, '42501')
    assert.deepEqual(await shop.truth('SELECT total::float FROM orders WHERE id = 10'), [{ total: 99.5 }])
  })
})
