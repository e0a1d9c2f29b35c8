import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client, type ClientConfig, type DatabaseError } from 'pg'
import { startScene, type Scene } from './scene.ts'

const RULES = `
@id("no-slow-statements")
forbid (principal, action == Action::"sql.set", resource)
when { context.args.hasTag("/name") && context.args.getTag("/name") == "statement_timeout" &&
  context.args.hasTag("/value") && context.args.getTag("/value") == "0" };
@id("quiet-with-a-dba") @hold("group:dba")
permit (principal in Group::"data-agents", action == Action::"sql.set", resource)
when { context.args.hasTag("/name") && context.args.getTag("/name") == "client_min_messages" };`

describe('settings given at the start', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene({ rules: RULES })
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const connected = async (more: ClientConfig): Promise<Client & AsyncDisposable> => {
    const { port } = scene.gateway.postgres
    const password = await scene.token()
    const client = new Client({ host: '127.0.0.1', port, user: 'agent', database: 'orders', password, ...more })
    client.on('error', () => undefined)
    await client.connect()
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
  }
  const refused = (options: string): Promise<DatabaseError> =>
    connected({ options }).then(
      () => assert.fail('it was not refused'),
      (error: DatabaseError) => error,
    )
  const show = async (client: Client, name: string): Promise<unknown> =>
    (await client.query(`SHOW ${name}`)).rows[0][name]

  it('hold from the first statement on, and RESET comes back to them', async () => {
    await using client = await connected({
      statement_timeout: 4_000,
      options: '-c lock_timeout=3s -c search_path=pg_catalog',
    })
    assert.equal(await show(client, 'statement_timeout'), '4s')
    await client.query('SET lock_timeout = 7')
    await client.query('RESET lock_timeout')
    assert.equal(await show(client, 'lock_timeout'), '3s')
    assert.equal(await show(client, 'search_path'), 'pg_catalog')
    await assert.rejects(client.query('SELECT id FROM customers'), { code: '42P01' })
  })

  it('are recorded before they are sent, as the SETs they are', async () => {
    await using client = await connected({ options: "-c app.who=it's" })
    assert.equal(await show(client, 'app.who'), "it's")
    const records = (await scene.records()).filter(({ type }) => type === 'operation')
    const set = records.find((record) => record.type === 'operation' && record.text.includes('"who"'))
    assert.ok(set?.type === 'operation')
    assert.deepEqual([set.text, set.decision, set.rules], [`SET "app"."who" = 'it''s'`, 'allow', ['agents-read']])
  })

  for (const [options, message] of [
    ['-c statement_timeout=0', /rule no-slow-statements/],
    ['-c statement_timeout=1s -c role=orders_owner', /role/],
    ['-c session_replication_role=replica', /may not be changed here/],
    ['-c client_min_messages=error', /needs approval/],
  ] as const) {
    it(`are refused as a SET is: ${options}`, async () => {
      const error = await refused(options)
      assert.match(error.message, message)
      assert.deepEqual([error.code, error.severity], ['42501', 'FATAL'])
      const denied = (await scene.records()).filter(({ type }) => type === 'operation').at(-1)
      assert.ok(denied?.type === 'operation' && denied.decision === 'deny')
    })
  }
})
