import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Client } from 'pg'
import { serverTls } from '../src/gateway/certificate.ts'
import { sign, startIdp } from '../src/identity/idp.fake.ts'
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
  let analyst: string
  let operator: string
  let original: { readonly config: string; readonly policies: string }
  let policies: string
  const clients: Client[] = []

  before(async () => {
    const rules = await readFile(join(import.meta.dirname, 'scene.cedar'), 'utf8')
    const sensitive = { pii: ['public.customers.name'], card: ['public.customers.card'] }
    shop = await startShop({ policies: rules.replace('4s', '60s') + ANALYSTS, target: { sensitive } })
    policies = join(shop.directory, 'policies', 'scene.cedar')
    original = { config: await readFile(shop.config, 'utf8'), policies: await readFile(policies, 'utf8') }
    token = await createToken(shop.config)
    analyst = await createToken(shop.config, '--user', 'ann', '--group', 'analysts')
    operator = await createToken(shop.config, '--user', 'ops', '--group', 'platform', 'dba')
    gateway = await serve(shop.config)
  })
  after(async () => {
    gateway.kill('SIGTERM')
    const { code } = await gateway.ended
    assert.deepEqual([code, await shop.roles()], [0, []])
    await shop[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    await Promise.allSettled(clients.splice(0).map((client) => client.end()))
    await writeFile(shop.config, original.config)
    await writeFile(policies, original.policies)
    assert.equal('refused' in (await api('config/reload', {})), false)
  })

  /** Calls the admin API as an operator. */
  const api = async (path: string, body?: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`http://127.0.0.1:${gateway.admin}/api/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${operator}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    })
    assert.equal(response.status, 200)
    return (await response.json()) as Record<string, unknown>
  }
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
  const hears = async (outcome: 'reloaded:' | 'is refused', change: () => Promise<unknown>): Promise<void> => {
    const before = count(outcome)
    await change()
    await within(`the gateway says "${outcome}"`, async () => count(outcome) > before, SLOWLY)
  }
  const reloads = (change: () => Promise<unknown>): Promise<void> => hears('reloaded:', change)
  const refuses = (change: () => Promise<unknown>): Promise<void> => hears('is refused', change)
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
    assert.deepEqual(((await api('config')).refused as { errors: unknown }).errors, [place])
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
    const lease = {
      'postgres-role': { admin: 'file:./other-url', member_of: ['orders_writer'], owner: 'orders_owner' },
    }
    await reloads(() => withTarget({ lease }))
    assert.equal(await pid(client), before)
    const later = await connect()
    assert.equal(await orders(later), 3)
    const grantors = await shop.truth(
      `SELECT m.roleid::regrole::text AS role, m.member::regrole::text AS admin FROM pg_auth_members m
       WHERE m.admin_option AND m.roleid::regrole::text LIKE 'sp\\_%' ORDER BY 2`,
    )
    assert.deepEqual(
      grantors.map(({ admin }) => admin),
      ['other', 'sallyport'],
    )
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
    await api('config/reload', {})
    const ann = await connect(analyst)
    const agent = await connect()
    const name = async (client: Client): Promise<unknown> =>
      (await client.query('SELECT name FROM customers WHERE id = 1')).rows[0]?.name
    assert.deepEqual([await name(ann), await name(agent)], ['Ada', '***'])
    const told = farewell(ann)
    await reloads(() => writePolicies(''))
    const { code, message } = await told
    assert.deepEqual(
      [code, message],
      ['28000', 'What this session may see on target orders has changed: connect again.'],
    )
    assert.equal(await name(agent), '***')
    assert.equal(await name(await connect(analyst)), '***')
  })

  it('ends sessions that would show a column that is hidden now, whatever the policies say', async () => {
    const told = farewell(await connect())
    await reloads(() => withTarget({ sensitive: { pii: ['public.customers.notes'], card: [] } }))
    assert.equal((await told).code, '28000')
    const { rows } = await (await connect()).query('SELECT name, notes FROM customers WHERE id = 1')
    assert.deepEqual(rows, [{ name: 'Ada', notes: '***' }])
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
    await api('config/reload', {})
    await api(`approvals/${approval}/approve`, {})
    assert.equal(await answer, '42501')
    assert.deepEqual(await shop.truth('SELECT total::float FROM orders WHERE id = 10'), [{ total: 99.5 }])
  })

  it('lets nobody in by rules that came to an end while they were being let in', async () => {
    await writePolicies(UNMASK)
    await api('config/reload', {})
    const meanwhile = async (
      who: string,
      change: () => Promise<unknown>,
    ): Promise<{ readonly end: Promise<unknown> }> => {
      await using _pause = await pauseRoles(shop)
      const coming = connect(who).then(
        (client) => farewell(client).then(({ code }) => code),
        (error: { readonly code?: string }) => error.code,
      )
      await within('the role is being made', async () => (await waitingRoles()) > 0, SLOWLY)
      await change()
      assert.equal('refused' in (await api('config/reload', {})), false)
      return { end: coming }
    }
    const cases: readonly (readonly [string, string, () => Promise<unknown>])[] = [
      ['28000', analyst, () => writePolicies('')],
      [
        '42501',
        token,
        () => writeFile(policies, original.policies.replace('"data-agents", action ==', '"nobody", action ==')),
      ],
      ['28000', token, () => writeConfig((config) => ({ ...config, targets: [] }))],
    ]
    for (const [code, who, change] of cases) {
      const { end } = await meanwhile(who, change)
      assert.equal(await end, code)
      await within('no role is left', async () => (await shop.roles()).length === 0, SLOWLY)
      await writeFile(policies, original.policies + UNMASK)
      await writeFile(shop.config, original.config)
      await api('config/reload', {})
    }
  })

  it('takes a new identity provider, and ends the sessions of one that is removed', async () => {
    await using idp = await startIdp()
    const key = await idp.addKey('k1')
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: idp.issuer, aud: 'sallyport', sub: 'bot', groups: ['data-agents'], iat: now, exp: now + 600 }
    const foreign = await sign(key, { kid: 'k1' }, claims)
    await assert.rejects(connect(foreign), { code: '28000', message: /unknown issuer/ })
    const corp = { name: 'corp', kind: 'agent', oidc: { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' } }
    const own = await connect()
    await reloads(() => writeConfig((config) => ({ ...config, identity: [{ ...corp, may_assert: ['data-*'] }] })))
    const client = await connect(foreign)
    assert.equal(await orders(client), 3)
    await reloads(() => writeConfig((config) => ({ ...config, identity: [corp] })))
    assert.equal(await orders(client), 3)
    await assert.rejects(connect(foreign), { code: '42501' })
    const told = farewell(client)
    await reloads(() => writeFile(shop.config, original.config))
    const { code, message } = await told
    assert.deepEqual([code, message], ['28000', 'The identity provider corp was removed from the gateway.'])
    await assert.rejects(connect(foreign), { code: '28000', message: /unknown issuer/ })
    assert.equal(await orders(own), 3)
  })

  it('shows a renewed certificate to the next connection, and refuses one without its key', async () => {
    const [first, second] = await Promise.all([certificate('one'), certificate('two')])
    const tls = { cert: './tls.crt', key: './tls.key' }
    const use = async ({ cert, key }: { cert: string; key: string }): Promise<void> => {
      await writeFile(join(shop.directory, 'tls.crt'), cert)
      await writeFile(join(shop.directory, 'tls.key'), key)
    }
    await use(first)
    await reloads(() => writeConfig((config) => ({ ...config, tls })))
    assert.equal(await shownCertificate(gateway.admin), first.fingerprint)
    await reloads(() => use(second))
    assert.deepEqual((await last('config.reloaded')).changed, ['tls'])
    assert.equal(await shownCertificate(gateway.admin), second.fingerprint)
    await refuses(() => use({ ...first, key: second.key }))
    const text = 'tls: the certificate and the key cannot be used together'
    assert.deepEqual((await last('config.refused')).errors, [
      `${shop.config}:${await lineOf(shop.config, '"tls"')}: ${text}`,
    ])
    assert.equal(await shownCertificate(gateway.admin), second.fingerprint)
  })

  it('follows the links by which Kubernetes replaces a directory', async () => {
    const mount = join(shop.directory, 'mount')
    const publish = async (version: string, more: string): Promise<void> => {
      await mkdir(join(mount, version), { recursive: true })
      await writeFile(join(mount, version, 'all.cedar'), original.policies + more)
      await symlink(version, join(mount, '..data_tmp'))
      await rename(join(mount, '..data_tmp'), join(mount, '..data'))
    }
    await publish('..1', '')
    await symlink(join('..data', 'all.cedar'), join(mount, 'all.cedar'))
    const client = await connect()
    await writeConfig((config) => ({ ...config, policies: './mount' }))
    await api('config/reload', {})
    assert.equal(await orders(client), 3)
    await reloads(() => publish('..2', NO_ORDERS))
    await assert.rejects(orders(client), { code: '42501' })
  })

  it('names every key that needs a restart, with its line', async () => {
    const web = { name: 'web', http: { url: 'http://127.0.0.1:9', lease: { bearer: 'file:./admin-url' } } }
    await refuses(() =>
      writeConfig((config) => ({
        ...config,
        targets: [...config.targets, web],
        data: './elsewhere',
        url: 'http://gw',
      })),
    )
    const { errors } = await last('config.refused')
    assert.deepEqual(
      errors.map((error) => error.split(': ')[1] ?? ''),
      ['targets[1].http', 'data', 'url'],
    )
    for (const [index, text] of ['"http": {', '"data"', '"url": "http://gw"'].entries()) {
      assert.ok(errors[index]?.startsWith(`${shop.config}:${await lineOf(shop.config, text)}: `), String(errors[index]))
    }
  })

  const waitingRoles = async (): Promise<number> =>
    (await shop.truth(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE ROLE%'`))
      .length
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
