import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { findProblems } from '../src/cli/find-problems.ts'
import { startScene, type Scene } from './scene.ts'
import { startWallScene, type WallOptions, type WallScene } from './wall-scene.ts'

describe('what a profile needs', () => {
  let scene: WallScene
  before(async () => (scene = await startWallScene({ admin: 'sallyport' })))
  after(() => scene[Symbol.asyncDispose]())

  const remedies = async (options: Parameters<WallScene['open']>[0] = {}): Promise<readonly string[]> => {
    await using source = scene.open(options)
    return (await source.leases.check()).map(({ remedy }) => remedy)
  }

  it('is all there', async () => assert.deepEqual(await remedies(), []))

  it('is named, each with the SQL that gives it', async () => {
    await scene.sql(`
      CREATE SCHEMA "a b"; CREATE ROLE "other owner"; GRANT USAGE, CREATE ON SCHEMA "a b" TO "other owner";
      REVOKE CONNECT ON DATABASE orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO sallyport;
      CREATE TABLE "of postgres" (id serial);
      SET ROLE "other owner"; CREATE TABLE "a b".one (id int); CREATE TABLE "a b".two (id int)`)
    const profile: WallOptions['profile'] = { schemas: ['public', 'a b'], rights: ['select', 'insert'] }
    const found = await remedies({ profile })
    assert.deepEqual(found, [
      'GRANT CONNECT ON DATABASE orders TO "sallyport" WITH GRANT OPTION;',
      'GRANT USAGE ON SCHEMA "a b" TO "sallyport" WITH GRANT OPTION;',
      'GRANT "other owner" TO "sallyport" WITH INHERIT TRUE, SET FALSE;',
      'ALTER TABLE "public"."of postgres" OWNER TO "sallyport";',
    ])
    await using source = scene.open({ profile })
    // Whatever is missing, no session opens.
    for (const remedy of ['', ...found]) {
      await assert.rejects(source.take(), { code: 'target' }, remedy)
      if (remedy) await scene.sql(remedy)
    }
    assert.deepEqual(await remedies({ profile }), [])
    const lease = await source.take()
    await source.as(lease, async (client) => {
      await client.query('INSERT INTO "of postgres" DEFAULT VALUES; INSERT INTO "a b".one SELECT id FROM "a b".two')
      await client.query('SELECT id FROM customers')
    })
    assert.deepEqual(await lease.revoke(), { verified: true })
    // Whatever right the rights were given by, they are taken back.
    await using restarted = scene.open()
    const swept = await restarted.leases.sweep()
    assert.ok(swept.length > 0 && swept.every(({ revocation }) => revocation.verified), JSON.stringify(swept))
    assert.deepEqual(await remedies({ profile: { schemas: ['nowhere'] } }), ['CREATE SCHEMA "nowhere";'])
    await scene.sql('DROP TABLE "of postgres"; GRANT CONNECT ON DATABASE orders TO PUBLIC')
  })

  it('leaves what belongs to an extension alone', async () => {
    await scene.sql('CREATE TABLE of_extension (id int); ALTER EXTENSION plpgsql ADD TABLE of_extension')
    assert.deepEqual(await remedies(), [])
    await using source = scene.open()
    const lease = await source.take()
    await source.as(lease, async (client) => {
      await assert.rejects(client.query('SELECT id FROM of_extension'), { code: '42501' })
      await client.query('SELECT id FROM customers')
    })
    assert.deepEqual(await lease.revoke(), { verified: true })
  })
})

describe('a gateway before a target with a profile', () => {
  let scene: Scene
  const profile = { schemas: ['public'], rights: ['select', 'insert', 'update'] }
  const rules = `
    @id("writers-connect")
    permit (principal in Group::"writers", action == Action::"connect", resource == Target::"orders");
    @id("writers")
    permit (principal in Group::"writers", action in [Action::"sql.select", Action::"sql.update"], resource in Target::"orders");
    @id("readers-connect")
    permit (principal in Group::"readers", action == Action::"connect", resource == Target::"orders");
    @id("readers")
    permit (principal in Group::"readers", action in [Action::"sql.select", Action::"sql.insert"], resource in Target::"orders");
    @id("readers-do-not-write")
    forbid (principal in Group::"readers", action in Action::"write", resource in Target::"orders");`
  before(async () => {
    const lease = { 'postgres-role': { admin: 'file:./admin-url', profile, owner: 'orders_owner' } }
    scene = await startScene({ target: { lease }, rules })
  })
  after(() => scene[Symbol.asyncDispose]())

  it('opens sessions that cannot read what is hidden', async () => {
    const client = await scene.connect()
    assert.equal((await client.query('SELECT id, name FROM customers')).rowCount, 3)
    const [role] = await scene.truth(`
      SELECT rolname, has_column_privilege(oid, 'customers', 'email', 'SELECT') AS hidden,
        has_column_privilege(oid, 'customers', 'name', 'SELECT') AS seen, has_table_privilege(oid, 'orders', 'DELETE') AS deletes,
        has_column_privilege(oid, 'contacts', 'contact', 'SELECT') AS shown, has_column_privilege(oid, 'contacts', 'id', 'SELECT') AS id
      FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'sp\\_%'`)
    assert.deepEqual(role, {
      rolname: role?.['rolname'],
      hidden: false,
      seen: true,
      deletes: false,
      shown: false,
      id: true,
    })
    const { rows } = await client.query('SELECT * FROM customers c JOIN contacts USING (id) WHERE id = 1')
    assert.deepEqual([rows[0]?.name, rows[0]?.email, rows[0]?.card, rows[0]?.contact], ['Ada', null, null, null])
    await client.end()
  })

  it('gives no right to write to who can never be permitted to, so PostgreSQL refuses what a mistake would let pass', async () => {
    const update = `UPDATE orders SET total = total`
    const asRole = async (group: string, work: string): Promise<unknown> => {
      const client = await scene.connect(await scene.token({ groups: [group] }))
      const [role] = await scene.truth(
        `SELECT rolname::text AS name FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'sp\\_%' ORDER BY oid DESC LIMIT 1`,
      )
      try {
        return await scene.truth(`SET SESSION AUTHORIZATION "${String(role!['name'])}"; ${work}`)
      } finally {
        await client.end()
      }
    }
    await assert.rejects(asRole('readers', update), { code: '42501' })
    await assert.rejects(asRole('readers', 'INSERT INTO orders DEFAULT VALUES'), { code: '42501' })
    await asRole('readers', 'SELECT total FROM orders')
    await asRole('writers', update)
    const writer = await scene.connect(await scene.token({ groups: ['writers'] }))
    assert.equal((await writer.query('UPDATE orders SET total = total WHERE id = 10')).rowCount, 1)
    await writer.end()
  })

  it('has its grants to PUBLIC found by check, also on views of what is hidden, and no others', async () => {
    await scene.truth(`
      SET ROLE orders_owner; CREATE VIEW named AS SELECT id, name FROM customers;
      GRANT SELECT ON customers, contacts, named TO PUBLIC`)
    const remedies = (await findProblems(scene.config, false)).map(({ remedy }) => remedy)
    assert.deepEqual(
      new Set(remedies),
      new Set(['customers', 'contacts'].map((name) => `REVOKE SELECT ON "public"."${name}" FROM PUBLIC;`)),
    )
  })
})
