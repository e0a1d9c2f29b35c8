import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runPsql, WITHOUT_PSQL } from './clients/psql.ts'
import { grantsApi, refusedWith, type GrantsApi } from './grants-scene.ts'
import { startScene, type Scene } from './scene.ts'

const NONE = 'grt_0190f6a2-0000-7000-8000-000000000000'
const TLS = { ssl: { rejectUnauthorized: false } }

describe('the credential of a grant', () => {
  let scene: Scene
  let api: GrantsApi
  before(async () => {
    scene = await startScene()
    api = grantsApi(scene)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const one = async (given: Parameters<GrantsApi['connect']>[0], more?: object): Promise<unknown> => {
    const client = await api.connect(given, more)
    const { rows } = await client.query<{ one: number }>('select 1 as one')
    await client.end()
    return rows[0]?.one
  }

  it('lets node-postgres in, in clear on this machine, over TLS, and tied to the TLS connection', async () => {
    const given = await api.ask()
    assert.equal(await one(given), 1)
    assert.equal(await one(given, TLS), 1)
    assert.equal(await one(given, { ...TLS, enableChannelBinding: true }), 1)
  })

  it('lets psql in, also where it insists on channel binding', { skip: WITHOUT_PSQL }, async () => {
    const { user, password } = await api.ask()
    const { port } = scene.gateway.postgres
    const psql = async (connection: Record<string, string>): Promise<string> => {
      const options = { port, password, connection: { user, ...connection }, arguments: ['-At'] }
      return (await runPsql(options, 'select 7')).output
    }
    assert.equal(await psql({ sslmode: 'disable' }), '7\n')
    assert.equal(await psql({ sslmode: 'require' }), '7\n')
    assert.equal(await psql({ sslmode: 'require', channel_binding: 'require' }), '7\n')
    assert.equal(await psql({ sslmode: 'require', channel_binding: 'disable' }), '7\n')
    const refused = await psql({ user: NONE, sslmode: 'require' })
    assert.match(refused, /FATAL: +(28P01: +)?The user or the password is not good/)
  })

  it('makes sessions of that grant, of the identity that asked for it, with whom it acts for', async () => {
    const given = await api.ask({ purpose: 'see whose it is', for: '2m' })
    await one(given, { application_name: 'mine' })
    const opened = (await scene.records()).find((entry) => entry.type === 'session.opened' && entry.grant === given.id)
    assert.ok(opened?.type === 'session.opened')
    assert.deepEqual([opened.identity, opened.application], ['local/report-bot', 'mine'])
    assert.equal(opened.expires_at, given.expires_at)
    const [granted] = (await scene.records()).filter(
      (entry) => entry.type === 'grant.opened' && entry.grant === given.id,
    )
    assert.ok(granted?.type === 'grant.opened')
    assert.deepEqual(granted.who, opened.who)
    assert.deepEqual([granted.purpose, granted.rules], ['see whose it is', ['agents-connect']])
    assert.equal(granted.expires_at, given.expires_at)
  })

  it('is for its own target, whether or not there is another', async () => {
    const given = await api.ask()
    for (const database of ['other', 'orders2', given.user]) {
      const { state, refusal } = await refusedWith(api.connect(given, { database }))
      assert.deepEqual([state, refusal.code], ['28000', 'grant'])
      assert.match(refusal.message, /is for target orders, and for no other/)
    }
    const { refusal } = await refusedWith(api.connect(given, { database: 'orders.postgres' }))
    assert.equal(refusal.code, 'denied')
  })

  it('is refused alike when the password is wrong, the grant has ended, or there never was one', async () => {
    const ended = await api.ask()
    await api.revoke(ended.id)
    const { user, password } = await api.ask()
    const before = (await scene.records()).length
    const heard = []
    for (const attempt of [
      { user, password: 'wrong' },
      { user, password: ended.password },
      { user: NONE, password },
      { user: 'grt_', password },
      { user: `${user}x`, password },
      ended,
    ])
      heard.push(await refusedWith(api.connect(attempt)))
    for (const one of heard) assert.deepEqual(one, heard[0])
    assert.deepEqual([heard[0]?.state, heard[0]?.refusal.code], ['28P01', 'identity'])
    const refused = (await scene.records()).slice(before)
    assert.deepEqual(
      refused.map((entry) => [entry.type, 'identity' in entry]),
      heard.map(() => ['session.refused', false]),
    )
  })

  it('is no token, and a token is no password of a grant', async () => {
    const { user, password } = await api.ask()
    for (const secret of [password, `${user}.${password}`]) {
      const { refusal } = await refusedWith(api.connect({ user: 'agent', password: secret }))
      assert.equal(refusal.code, 'identity')
      assert.equal((await api.call('GET', '', secret)).status, 401)
    }
    const { state } = await refusedWith(api.connect({ user, password: await scene.token() }))
    assert.equal(state, '28P01')
  })

  it('gives no more than it was narrowed to, and says how to ask for more', async () => {
    const given = await api.ask({ operations: ['sql.select', 'session'] })
    const client = await api.connect(given)
    await client.query('begin')
    assert.equal((await client.query('select id from orders where id = 10')).rowCount, 1)
    await client.query('commit')
    const insert = 'insert into orders values (77, 1, 5)'
    const { state, message, refusal } = await refusedWith(client.query(insert))
    assert.deepEqual([state, refusal.code], ['28000', 'grant'])
    assert.equal(message, `Grant ${given.id} is not for sql.insert, which this does on Table orders/public.orders.`)
    assert.deepEqual(refusal.remedy, [
      { do: 'request', command: 'sallyport request orders --purpose … --operations sql.select,session,sql.insert' },
    ])
    const both = client.query('select 1; insert into orders values (78, 1, 5)')
    assert.equal((await refusedWith(both)).refusal.code, 'grant')
    const hidden = 'with gone as (insert into orders values (79, 1, 5) returning id) select * from gone'
    assert.equal((await refusedWith(client.query(hidden))).refusal.code, 'grant')
    assert.equal((await refusedWith(client.query({ text: insert, name: 'prepared' }))).refusal.code, 'grant')
    await client.end()
    assert.deepEqual(await scene.truth('select id from orders where id > 76'), [])
  })

  it('gives nothing that policy does not permit', async () => {
    const client = await api.connect(await api.ask({ operations: ['sql.select', 'sql.truncate'] }))
    assert.equal((await refusedWith(client.query('truncate orders'))).refusal.code, 'denied')
    await client.end()
  })

  it('cannot take a setting at the start that it is not for', async () => {
    const given = await api.ask({ operations: ['sql.select'] })
    const { refusal } = await refusedWith(api.connect(given, { options: '-c search_path=public' }))
    assert.equal(refusal.code, 'grant')
    await refusedWith(api.connect(await api.ask(), { options: '-c role=orders_owner' }))
  })

  it('is told once, and is nowhere else: no record, file, list or warning has it', async () => {
    const { id, password } = await api.ask()
    await one({ user: id, password })
    const token = await scene.token()
    const told = [await api.call('GET', `/${id}`, token), await api.call('GET', '', token), await api.revoke(id)]
    const { data } = scene.gateway.config
    const files = (await readdir(data, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    for (const file of files)
      assert.ok(!(await readFile(join(file.parentPath, file.name))).includes(password), file.name)
    const said = JSON.stringify([told, await scene.records(), scene.warnings])
    assert.ok(!said.includes(password))
    assert.doesNotMatch(said, /SCRAM-SHA-256|verifier|bearer"/)
    assert.doesNotMatch(scene.postgres.logLines().join('\n'), new RegExp(password))
  })
})
