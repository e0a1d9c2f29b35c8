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

/** `upkeep`: how profile roles are made, kept and dropped, too. */
function wall(server: Server, upkeep = true): void {
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
  const profileOf = async (lease: Lease<RoleCredential>): Promise<string> =>
    String(
      (
        await scene.sql(`SELECT p.rolname::text AS name FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid
          WHERE m.member = '${lease.name}'::regrole`)
      )[0]?.['name'],
    )
  const oidOf = async (name: string): Promise<unknown> =>
    (await scene.sql(`SELECT oid FROM pg_roles WHERE rolname = '${name}'`))[0]?.['oid']
  const profiles = async (): Promise<readonly string[]> =>
    (await scene.sql("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'sp\\_%profile%' ORDER BY 1")).map((row) =>
      String(row['rolname']),
    )

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

  it('lets stand-ins be read in the place of hidden columns, of exactly their types', () =>
    session(async (client) => {
      const { relations } = await source.target.catalog.get()
      const { columns, oid } = relations.find(({ name }) => name === 'customers')!
      const list = columns.map(({ name, standIn }) => (standIn === undefined ? name : `${standIn} AS ${name}`))
      const text = `SELECT * FROM (SELECT ${list.join(', ')} FROM public.customers) AS customers WHERE name <> '' ORDER BY id FOR UPDATE`
      const { rows, fields } = await client.query<unknown[]>({ text, rowMode: 'array' })
      assert.deepEqual(rows, [
        [1, 'Ada', null, null, null],
        [2, 'Nobody', null, null, null],
      ])
      assert.deepEqual(
        fields.slice(0, 2).map(({ tableID }) => tableID),
        [oid, oid],
      )
    }))

  it('shows the rows that the policies of a table show the session', () =>
    session(async (client) => assert.deepEqual(await rowsOf(client, 'SELECT name FROM tenants'), [['acme']])))

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
      async (client) => {
        const writes = [
          'INSERT INTO orders VALUES (9, 1, 1)',
          'UPDATE orders SET total = 0',
          'DELETE FROM orders',
          'UPDATE customers SET name = name',
          "SELECT nextval('customers_id_seq')",
          'SELECT id FROM orders FOR UPDATE',
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

  if (!upkeep) return

  it('uses a profile role again, and makes another one when the catalog has changed', async () => {
    const first = await source.take()
    assert.equal(first.credential.wall, true)
    const made = await profiles()
    const second = await source.take()
    assert.equal(await profileOf(second), await profileOf(first))
    assert.deepEqual(await profiles(), made)
    await scene.sql('SET ROLE orders_owner; CREATE TABLE late (id int)')
    const third = await source.take()
    assert.notEqual(await profileOf(third), await profileOf(first))
    await source.as(third, (client) => client.query('SELECT id FROM late'))
    await source.as(first, (client) => assert.rejects(client.query('SELECT id FROM late'), REFUSED))
    for (const lease of [first, second, third]) assert.deepEqual(await lease.revoke(), { verified: true })
  })

  it('stands in the way of no migration', () =>
    session(async (client) => {
      await scene.sql(`SET ROLE orders_owner; CREATE TABLE moving (id int, gone text, kind int)`)
      await session(async (other) => {
        await scene.sql(
          `SET ROLE orders_owner; ALTER TABLE moving DROP COLUMN gone, ALTER kind TYPE text, ADD more text`,
        )
        await other.query('SELECT id, kind FROM moving')
      })
      await scene.sql(`SET ROLE orders_owner;
        ALTER TABLE customers ALTER card TYPE text; ALTER TABLE customers ALTER card TYPE char(4)`)
      await assert.rejects(client.query('SELECT card FROM customers'), REFUSED)
      await client.query('SELECT id FROM customers')
    }))

  it('drops what is not current once nobody is a member of it, and nothing else', async () => {
    await using other = scene.open({ target: 'another' })
    const foreign = await other.take()
    const kept = await source.take()
    await scene.sql('SET ROLE orders_owner; ALTER TABLE late ADD COLUMN more int')
    const current = await source.take()
    const currentName = await profileOf(current)
    await current.revoke()
    const names = { foreign: await profileOf(foreign), kept: await profileOf(kept) }
    await source.leases.sweep()
    const left = [names.foreign, names.kept, currentName].sort()
    assert.deepEqual(await profilesOf(left), left)
    await kept.revoke()
    const swept = await source.leases.sweep()
    assert.deepEqual(swept, [{ name: names.kept, revocation: { verified: true } }])
    await using restarted = scene.open()
    assert.ok((await restarted.leases.sweep()).every(({ revocation }) => revocation.verified))
    assert.deepEqual(await profiles(), [names.foreign])
    await foreign.revoke()
    await other.take().then((lease) => lease.revoke())
  })

  async function profilesOf(names: readonly string[]): Promise<readonly string[]> {
    return (await profiles()).filter((name) => names.includes(name))
  }

  it('makes one profile role for sessions that open at once, of several gateways', async () => {
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

  it('opens no session while PUBLIC can read what is hidden, be it granted before or after the profile role was made', async () => {
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

  it('makes again what was taken or dropped behind its back', async () => {
    const lease = await source.take()
    const role = await profileOf(lease)
    const oid = await oidOf(role)
    await scene.sql(`DROP OWNED BY ${role}`)
    await session((client) => client.query('SELECT id FROM customers'))
    assert.equal(await oidOf(role), oid)
    await source.as(lease, (client) => client.query('SELECT id FROM customers'))
    await lease.revoke()
    await scene.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await session(async (client, again) => {
      assert.equal(await profileOf(again), role)
      assert.equal((await client.query('SELECT id FROM customers')).rowCount, 2)
    })
  })

  it('makes it again when it is dropped between the look and the session', async () => {
    const kept = await source.take()
    const role = await profileOf(kept)
    await kept.revoke()
    await scene.asSuperuser(async (sweeper) => {
      await sweeper.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('sallyport ${role}', 0))`)
      const taking = source.take()
      const waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
      await within('a session waits for the sweep', async () => (await scene.sql(waiting)).length > 0, 4_000)
      await sweeper.query(`DROP OWNED BY ${role}; DROP ROLE ${role}; COMMIT`)
      const lease = await taking
      await source.as(lease, (client) => client.query('SELECT id FROM customers'))
      assert.deepEqual(await lease.revoke(), { verified: true })
    })
  })

  it('gives the rights anew in a database that was dropped and made again', async () => {
    await using fresh = scene.open()
    const lease = await fresh.take()
    await lease.revoke()
    await recreate(scene)
    await session(async (client) => {
      assert.equal((await client.query('SELECT id FROM customers')).rowCount, 2)
      await assert.rejects(client.query('SELECT email FROM customers'), REFUSED)
    })
  })

  it('gives the rights anew in a copy of a database under its name', async () => {
    await scene.sql(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    )
    await scene.postgres.query('CREATE DATABASE backup TEMPLATE orders')
    await (await source.take()).revoke()
    await scene.postgres.query('DROP DATABASE orders WITH (FORCE)')
    await scene.postgres.query('CREATE DATABASE orders TEMPLATE backup')
    await scene.postgres.query('DROP DATABASE backup')
    await session((client) => client.query('SELECT id FROM customers'))
  })
}

describe('the wall, made by a superuser', () => wall({ admin: 'superuser' }, false))
describe('the wall, made with the rights of the owner', () => wall({ admin: 'sallyport' }))

const FIFTEEN = '/usr/lib/postgresql/15/bin'
describe('the wall on PostgreSQL 15', { skip: existsSync(FIFTEEN) ? false : 'PostgreSQL 15 is not installed' }, () =>
  wall({ admin: 'sallyport', binaries: FIFTEEN }),
)
