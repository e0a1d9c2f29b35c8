import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { RoleCredential } from '../src/credentials/postgres-role.ts'
import { Fault } from '../src/gateway/fault.ts'
import type { Lease } from '../src/grants/lease.ts'
import { within } from './waiting.ts'
import { recreate, startWallScene, type Server, type WallScene, type WallSource } from './wall-scene.ts'

const REFUSED = { code: '42501' }

async function rowsOf(client: Client, text: string): Promise<readonly unknown[]> {
  const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' })
  return rows
}

function wall(server: Server): void {
  let scene: WallScene
  let source: WallSource
  before(async () => {
    scene = await startWallScene(server)
    source = scene.open()
  })
  after(async () => {
    await source[Symbol.asyncDispose]()
    await scene[Symbol.asyncDispose]()
  })

  const session = async <T>(
    work: (client: Client, lease: Lease<RoleCredential>) => Promise<T>,
    hidden?: readonly string[],
    possible?: readonly string[],
  ): Promise<T> => {
    const lease = await source.take(hidden, possible)
    try {
      return await source.as(lease, (client) => work(client, lease))
    } finally {
      assert.deepEqual(await lease.revoke(), { verified: true })
    }
  }
  const viewOf = async (lease: Lease<RoleCredential>, table: string): Promise<string> => {
    const [row] = await scene.sql(`SELECT '${table}'::regclass::oid::int AS oid`)
    return `${lease.credential.wall!.schema}.r${String(row!['oid'])}`
  }
  const oidOf = async (name: string): Promise<unknown> =>
    (await scene.sql(`SELECT oid FROM pg_roles WHERE rolname = '${name}'`))[0]?.['oid']
  const profiles = async (): Promise<readonly string[]> =>
    (await scene.sql("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'sp\\_%profile%' ORDER BY 1")).map((row) =>
      String(row['rolname']),
    )
  const schemas = async (): Promise<number> =>
    (await scene.sql("SELECT FROM pg_namespace WHERE nspname LIKE 'sp\\_masked%'")).length

  it('refuses every way to a hidden column, and lets the others be read', () =>
    session(async (client) => {
      const attempts = [
        'SELECT email FROM customers',
        'SELECT * FROM customers',
        'SELECT c FROM customers c',
        "SELECT id FROM customers WHERE email LIKE 'a%'",
        'SELECT id FROM customers ORDER BY mobile',
        'UPDATE customers SET name = email',
        'UPDATE customers SET name = name RETURNING email',
        "INSERT INTO customers (name, mobile) VALUES ('x', '+3') ON CONFLICT (email) DO UPDATE SET name = excluded.email",
        'COPY customers TO STDOUT',
        'SELECT contact FROM contacts',
        'SELECT "sp ace" FROM "Odd ""Name"',
        'SELECT who FROM events',
        'SELECT who FROM events_1',
        'SELECT token FROM tenants',
        'SELECT id FROM apart.things',
        'CREATE VIEW v AS SELECT 1',
      ]
      for (const text of attempts) await assert.rejects(client.query(text), REFUSED, text)
      assert.deepEqual(await rowsOf(client, 'SELECT id, name FROM customers ORDER BY 1'), [
        [1, 'Ada'],
        [2, 'Nobody'],
      ])
      assert.deepEqual(await rowsOf(client, 'SELECT what FROM events'), [['came']])
      assert.deepEqual(await rowsOf(client, 'SELECT count(*)::int FROM orders'), [[2]])
      assert.deepEqual(await rowsOf(client, 'SELECT total::int FROM totals'), [[30]])
      assert.deepEqual(await rowsOf(client, 'SELECT "i d" FROM "Odd ""Name"'), [[1]])
    }))

  it('shows stand-ins in a masked view, and NULL where there is NULL, with the same columns', () =>
    session(async (client, lease) => {
      const view = await viewOf(lease, 'customers')
      assert.deepEqual(await rowsOf(client, `SELECT * FROM ${view} ORDER BY id`), [
        [1, 'Ada', '***', '***', '*** '],
        [2, 'Nobody', null, '***', null],
      ])
      const columns = (relation: string): string =>
        `SELECT attname, format_type(CASE typtype WHEN 'd' THEN typbasetype ELSE t.oid END,
           CASE typtype WHEN 'd' THEN typtypmod ELSE atttypmod END)
         FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
         WHERE attrelid = '${relation}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`
      assert.deepEqual(await rowsOf(client, columns(view)), await rowsOf(client, columns('customers')))
      assert.deepEqual(await rowsOf(client, `SELECT who, what FROM ${await viewOf(lease, 'events')}`), [
        ['***', 'came'],
      ])
      assert.deepEqual(await rowsOf(client, `SELECT * FROM ${await viewOf(lease, '"Odd ""Name"')}`), [[1, '***']])
      assert.equal((await client.query(`SELECT id FROM ${view} FOR UPDATE`)).rowCount, 2)
    }))

  it('has no masked view of a table whose rows are chosen by policies', () =>
    session(async (client, lease) => {
      await assert.rejects(client.query(`SELECT FROM ${await viewOf(lease, 'tenants')}`), { code: '42P01' })
      assert.deepEqual(await rowsOf(client, 'SELECT name FROM tenants'), [])
    }))

  it('lets a session write where it may, hidden columns too', () =>
    session(async (client) => {
      await client.query(`
        BEGIN; INSERT INTO customers (name, email, mobile) VALUES ('new', 'n@example.com', '+9');
        UPDATE customers SET email = NULL WHERE name = 'new'; DELETE FROM customers WHERE name = 'new'; ROLLBACK`)
      for (const text of ['TRUNCATE orders', 'CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION f()'])
        await assert.rejects(client.query(text), REFUSED, text)
    }))

  it('gives no right to write to an identity that can never be permitted to', () =>
    session(
      async (client, lease) => {
        const writes = [
          'INSERT INTO orders VALUES (9, 1, 1)',
          'UPDATE orders SET total = 0',
          'DELETE FROM orders',
          'UPDATE customers SET name = name',
          "SELECT nextval('customers_id_seq')",
          `UPDATE ${await viewOf(lease, 'customers')} SET name = name`,
        ]
        for (const text of writes) await assert.rejects(client.query(text), REFUSED, text)
        assert.equal((await client.query('SELECT id FROM orders')).rowCount, 2)
      },
      undefined,
      ['sql.select', 'connect'],
    ))

  it('keeps nothing from an identity that may see everything', () =>
    session(async (client) => {
      assert.deepEqual(await rowsOf(client, 'SELECT email FROM customers WHERE id = 1'), [['ada@example.com']])
      assert.equal((await client.query('SELECT contact FROM contacts')).rowCount, 2)
    }, []))

  it('uses a snapshot again, and makes another one when the catalog has changed', async () => {
    const first = await source.take()
    const made = await profiles()
    const second = await source.take()
    assert.equal(second.credential.wall!.schema, first.credential.wall!.schema)
    assert.deepEqual(await profiles(), made)
    await scene.sql('SET ROLE orders_owner; CREATE TABLE late (id int)')
    const third = await source.take()
    assert.notEqual(third.credential.wall!.schema, first.credential.wall!.schema)
    await source.as(third, (client) => client.query('SELECT id FROM late'))
    await source.as(first, (client) => assert.rejects(client.query('SELECT id FROM late'), REFUSED))
    for (const lease of [first, second, third]) assert.deepEqual(await lease.revoke(), { verified: true })
  })

  it('drops what is not current once nobody is a member of it, and nothing else', async () => {
    await using other = scene.open({ target: 'another' })
    const foreign = await other.take()
    const kept = await source.take()
    await scene.sql('SET ROLE orders_owner; ALTER TABLE late ADD COLUMN more int')
    const current = await source.take()
    await current.revoke()
    const role = (lease: Lease<RoleCredential>): string =>
      `sp_1a2b3c4d_profile_${lease.credential.wall!.schema.slice('sp_masked_'.length)}`
    await source.leases.sweep()
    const left = [role(foreign), role(kept), role(current)].sort()
    assert.deepEqual(await profilesOf(left), left)
    await kept.revoke()
    const swept = await source.leases.sweep()
    assert.deepEqual(swept, [{ name: role(kept), revocation: { verified: true } }])
    await using restarted = scene.open()
    assert.ok((await restarted.leases.sweep()).every(({ revocation }) => revocation.verified))
    assert.deepEqual(await profiles(), [role(foreign)])
    assert.equal(await schemas(), 1)
    await foreign.revoke()
    await other.take().then((lease) => lease.revoke())
  })

  async function profilesOf(names: readonly string[]): Promise<readonly string[]> {
    return (await profiles()).filter((name) => names.includes(name))
  }

  it('makes one snapshot for sessions that open at once, of several gateways', async () => {
    await scene.sql('SET ROLE orders_owner; CREATE TABLE at_once (id int)')
    await using parts = new AsyncDisposableStack()
    const gateways = Array.from({ length: 4 }, () => parts.use(scene.open({ maxAgeMs: 60_000 })))
    await Promise.all(gateways.map(async ({ target }) => await target.catalog.get()))
    const before = (await profiles()).length
    const classes = [['pii'], ['card'], ['pii', 'card']]
    const leases = await Promise.all(gateways.flatMap((each) => classes.map((hidden) => each.take(hidden))))
    assert.equal((await profiles()).length, before + classes.length)
    for (const lease of leases) assert.deepEqual(await lease.revoke(), { verified: true })
  })

  it('opens sessions while another gateway sweeps', async () => {
    await scene.sql('SET ROLE orders_owner; CREATE TABLE swept (id int)')
    const classes = [['pii'], ['card'], ['secret'], ['pii', 'card']]
    for (const hidden of classes) await (await source.take(hidden)).revoke()
    await using sweeper = scene.open()
    const [swept, ...leases] = await Promise.all([sweeper.leases.sweep(), ...classes.map((each) => source.take(each))])
    assert.ok(swept.every(({ revocation }) => revocation.verified))
    for (const lease of leases) {
      await source.as(lease, (client) => client.query('SELECT id FROM swept'))
      assert.deepEqual(await lease.revoke(), { verified: true })
    }
  })

  it('opens no session while PUBLIC can read what is hidden, be it granted before or after the snapshot', async () => {
    await (await source.take()).revoke()
    const before = await profiles()
    await scene.sql('GRANT SELECT (email) ON customers TO PUBLIC')
    const mending = /"public"\."customers"\."email", .*: REVOKE SELECT ON "public"\."customers" FROM PUBLIC;$/
    for (const hidden of [undefined, ['pii', 'secret']])
      await assert.rejects(source.take(hidden), (error) => {
        return error instanceof Fault && error.code === 'target' && mending.test(error.message)
      })
    await scene.sql('REVOKE SELECT ON "public"."customers" FROM PUBLIC; GRANT SELECT ON contacts TO PUBLIC')
    await assert.rejects(source.take(), /"public"."contacts", .*: REVOKE SELECT ON "public"."contacts" FROM PUBLIC;$/)
    assert.deepEqual(await profiles(), before)
    await scene.sql('REVOKE SELECT ON contacts FROM PUBLIC')
    await session((client) => client.query('SELECT id FROM customers'))
    assert.deepEqual(await profiles(), before)
  })

  it('makes again what was dropped behind its back', async () => {
    const lease = await source.take()
    const { schema } = lease.credential.wall!
    const role = schema.replace('sp_masked_', 'sp_1a2b3c4d_profile_')
    const oid = await oidOf(role)
    await scene.sql(`DROP SCHEMA ${schema} CASCADE`)
    await session((client) => client.query(`SELECT FROM pg_namespace WHERE nspname = '${schema}'`))
    assert.equal(await oidOf(role), oid)
    await source.as(lease, (client) => client.query('SELECT id FROM customers'))
    await lease.revoke()
    await scene.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await session(async (client, again) => {
      assert.equal(again.credential.wall!.schema, schema)
      assert.equal((await client.query(`SELECT FROM ${await viewOf(again, 'customers')}`)).rowCount, 2)
    })
  })

  it('makes it again when it is dropped between the look and the session', async () => {
    const kept = await source.take()
    const hash = kept.credential.wall!.schema.slice('sp_masked_'.length)
    await kept.revoke()
    const role = `sp_1a2b3c4d_profile_${hash}`
    await scene.asSuperuser(async (sweeper) => {
      await sweeper.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('sallyport ${hash}', 0))`)
      const taking = source.take()
      const waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
      await within('a session waits for the sweep', async () => (await scene.sql(waiting)).length > 0, 4_000)
      await sweeper.query(`DROP OWNED BY ${role}; DROP SCHEMA sp_masked_${hash} CASCADE; DROP ROLE ${role}; COMMIT`)
      const lease = await taking
      await source.as(lease, (client) => client.query('SELECT id FROM customers'))
      assert.deepEqual(await lease.revoke(), { verified: true })
    })
  })

  it('makes it anew in a database that was dropped and made again', async () => {
    await using fresh = scene.open()
    const lease = await fresh.take()
    await lease.revoke()
    await recreate(scene)
    await session(async (client, again) => {
      assert.equal((await client.query(`SELECT email FROM ${await viewOf(again, 'customers')}`)).rowCount, 2)
      await assert.rejects(client.query('SELECT email FROM customers'), REFUSED)
    })
  })

  it('makes the catalog know a masked view before its first row', async () => {
    await using fresh = scene.open({ maxAgeMs: 600_000, target: 'new' })
    const lease = await fresh.take()
    const { schema } = lease.credential.wall!
    const { relations } = await fresh.target.catalog.get()
    const views = relations.filter((each) => each.schema === schema)
    assert.equal(views.length, 4)
    for (const { oid } of views) assert.deepEqual(fresh.target.catalog.classesOf(oid, 1), [])
    await lease.revoke()
  })
}

describe('the wall, made by a superuser', () => wall({ admin: 'superuser' }))
describe('the wall, made by way of the owner', () => wall({ admin: 'sallyport' }))

const FIFTEEN = '/usr/lib/postgresql/15/bin'
describe('the wall on PostgreSQL 15', { skip: existsSync(FIFTEEN) ? false : 'PostgreSQL 15 is not installed' }, () =>
  wall({ admin: 'sallyport', binaries: FIFTEEN }),
)
