import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client, Pool, type ClientConfig, type DatabaseError } from 'pg'
import { sign, startIdp, type FakeIdp } from '../../src/identity/idp.fake.ts'
import { startScene, type Scene } from '../scene.ts'
import { within } from '../waiting.ts'

describe('node-postgres', () => {
  let scene: Scene
  let idp: FakeIdp
  let token: string

  before(async () => {
    idp = await startIdp()
    const oidc = { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' }
    scene = await startScene({ config: { identity: [{ name: 'corp', kind: 'agent', oidc, may_assert: ['*'] }] } })
    const key = await idp.addKey('k1')
    const now = Math.floor(Date.now() / 1000)
    const groups = ['data-agents', ...Array.from({ length: 400 }, (_, place) => `team-${place}-of-a-large-company`)]
    const claims = { iss: idp.issuer, aud: 'sallyport', sub: 'bot', iat: now, exp: now + 600, groups }
    token = await sign(key, { kid: 'k1' }, claims)
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
  })

  const settings = (more: ClientConfig = {}): ClientConfig => ({
    host: '127.0.0.1',
    port: scene.gateway.postgres.port,
    user: 'agent',
    database: 'orders',
    password: token,
    ssl: { ca: scene.gateway.tls.certificate },
    ...more,
  })
  const connected = async (more?: ClientConfig): Promise<Client & AsyncDisposable> => {
    const client = new Client(settings(more))
    client.on('error', () => undefined)
    await client.connect()
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
  }
  const refused = (promise: Promise<unknown>): Promise<DatabaseError> =>
    promise.then(
      () => assert.fail('it was not refused'),
      (error: DatabaseError) => error,
    )

  it('connects over verified TLS with a token of 13 KB', async () => {
    assert.ok(token.length > 13_000)
    await using client = await connected()
    assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }])
  })

  it('refuses a gateway with a certificate it does not know', async () => {
    const error = await refused(connected({ ssl: {} }))
    assert.match(error.message, /self[- ]signed certificate/)
  })

  it('reads masked rows in simple, extended and named statements, as text and binary', async () => {
    await using client = await connected()
    const hidden = { email: '***', card: '***' }
    const text = 'SELECT id, email, card FROM customers WHERE id = $1'
    assert.deepEqual((await client.query('SELECT id, email, card FROM customers WHERE id = 1')).rows, [
      { id: 1, ...hidden },
    ])
    assert.deepEqual((await client.query(text, [2])).rows, [{ id: 2, ...hidden }])
    for (const id of [1, 2]) {
      const { rows } = await client.query({ name: 'by-id', text, values: [id] })
      assert.deepEqual(rows, [{ id, ...hidden }])
    }
    const binary = { text, values: [1], binary: true }
    assert.deepEqual((await client.query(binary)).rows, [{ id: 1, ...hidden }])
  })

  it('gets a denial of a statement with parameters as an error like any other, and goes on', async () => {
    await using client = await connected()
    const error = await refused(client.query('DELETE FROM customers WHERE $1 = 1', [1]))
    assert.equal(error.code, '42501')
    assert.equal(error.severity, 'ERROR')
    const refusal = JSON.parse(error.detail ?? '') as Record<string, unknown>
    assert.deepEqual([refusal['v'], refusal['code'], refusal['retry']], [1, 'denied', 'after-change'])
    assert.equal((await client.query('SELECT $1::int AS n', [7])).rows[0].n, 7)
    assert.deepEqual(await scene.truth('SELECT count(*)::int FROM customers'), [{ count: 3 }])
    const [denied] = (await scene.records()).filter(
      (record) => record.type === 'operation' && record.operation === refusal['operation'],
    )
    assert.ok(denied?.type === 'operation')
    assert.equal(denied.decision, 'deny')
  })

  it('keeps its pool through a denial: no connection is thrown away', async () => {
    const pool = new Pool({ ...settings(), max: 1 })
    const opened = async (): Promise<number> =>
      (await scene.records()).filter(({ type }) => type === 'session.opened').length
    const before = await opened()
    for (let turn = 0; turn < 3; turn++) {
      const client = await pool.connect()
      assert.equal((await refused(client.query('DELETE FROM customers'))).code, '42501')
      client.release()
      assert.equal((await pool.query('SELECT 1')).rowCount, 1)
    }
    await pool.end()
    assert.equal((await opened()) - before, 1)
  })

  it('rolls a transaction back in which a statement was refused', async () => {
    await using client = await connected()
    await client.query('BEGIN')
    await client.query('INSERT INTO orders VALUES ($1, 1, 5)', [88])
    assert.equal((await refused(client.query('DELETE FROM customers'))).code, '42501')
    assert.equal((await refused(client.query('SELECT 1'))).code, '25P02')
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK')
    assert.deepEqual(await scene.truth('SELECT id FROM orders WHERE id = 88'), [])
  })

  it('is answered about its own mistakes in PostgreSQL’s words, with the position', async () => {
    await using client = await connected()
    const error = await refused(client.query('SELEC 1'))
    assert.equal(error.code, '42601')
    assert.equal(error.position, '1')
    assert.equal((await refused(client.query('SELECT * FROM nowhere'))).code, '42P01')
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
  })

  it('gets 42501 on connecting where no rule permits it, for a target that is there and one that is not alike', async () => {
    const stranger = await scene.token({ name: 'stranger', groups: ['nobody'] })
    const there = await refused(connected({ password: stranger }))
    const absent = await refused(connected({ password: stranger, database: 'payroll' }))
    for (const error of [there, absent]) {
      assert.equal(error.code, '42501')
      assert.equal(error.severity, 'FATAL')
    }
    assert.equal(there.message.replace('orders', '…'), absent.message.replace('payroll', '…'))
    await within('the roles of the tests before are gone', async () => (await scene.roles()).length === 0)
  })

  it('takes dbname as target.database, and no other database', async () => {
    await using client = await connected({ database: 'orders.orders' })
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    assert.equal((await refused(connected({ database: 'orders.postgres' }))).code, '42501')
  })
})
