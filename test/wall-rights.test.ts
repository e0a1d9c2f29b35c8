import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { findProblems } from '../src/cli/find-problems.ts'
import { placeholderText, typesWithPlaceholder } from '../src/protocols/postgres/placeholders.ts'
import { startScene, type Scene } from './scene.ts'
import { startWallScene, type WallScene } from './wall-scene.ts'

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
      CREATE SCHEMA "a b"; REVOKE CONNECT ON DATABASE orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO sallyport;
      REVOKE CREATE ON DATABASE orders FROM orders_owner; CREATE TABLE "of postgres" (id serial)`)
    const profile = { schemas: ['public', 'a b'] }
    const found = await remedies({ profile })
    assert.deepEqual(found, [
      'GRANT CREATE ON DATABASE orders TO "orders_owner";',
      'GRANT CONNECT ON DATABASE orders TO "orders_owner" WITH GRANT OPTION;',
      'GRANT USAGE ON SCHEMA "a b" TO "orders_owner" WITH GRANT OPTION;',
      'ALTER TABLE "public"."of postgres" OWNER TO "orders_owner";',
    ])
    await using source = scene.open({ profile })
    // Whatever is missing, no session opens.
    for (const remedy of ['', ...found]) {
      await assert.rejects(source.take(), { code: 'target' }, remedy)
      if (remedy) await scene.sql(remedy)
    }
    assert.deepEqual(await remedies({ profile }), [])
    const lease = await source.take()
    await source.as(lease, (client) => client.query('SELECT id FROM customers'))
    assert.deepEqual(await lease.revoke(), { verified: true })
    assert.deepEqual(await remedies({ profile: { schemas: ['nowhere'] } }), ['CREATE SCHEMA "nowhere";'])
    assert.deepEqual(await remedies({ owner: 'no_such_role' }), [
      'GRANT "no_such_role" TO "sallyport" WITH INHERIT TRUE, SET TRUE;',
    ])
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

describe('a masked view', () => {
  let scene: WallScene
  before(async () => (scene = await startWallScene({ admin: 'superuser' })))
  after(() => scene[Symbol.asyncDispose]())

  it('has the stand-ins of the gateway for every type that has one, and NULL for others', async () => {
    const rows = await scene.sql(
      `SELECT oid::int, 'pg_catalog.' || quote_ident(typname) AS name FROM pg_type
       WHERE oid = ANY ('{${typesWithPlaceholder().join()}}') AND typtype <> 'p' ORDER BY oid`,
    )
    const types = rows.map((row) => ({ oid: Number(row['oid']), name: String(row['name']) }))
    assert.ok(types.length > 40)
    const others = { point: '(1,2)', tsvector: 'a', mood: 'sad', 'mood[]': '{sad}', pair: '(1,2)', 'bit(3)': '101' }
    const columns = [...types.map(({ name }) => name), ...Object.keys(others)].map((type, i) => `c${i} ${type}`)
    const values = [...types.map(({ oid }) => placeholderText(oid)!), ...Object.values(others)]
    await scene.sql(`
      CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b int);
      CREATE TABLE typed (${columns.join(', ')});
      INSERT INTO typed VALUES (${values.map((value) => `'${value}'`).join(', ')})`)
    await using source = scene.open({ sensitive: { any: columns.map((_, i) => `public.typed.c${i}`) } })
    const lease = await source.take(['any'])
    const [table] = await scene.sql(`SELECT 'typed'::regclass::oid::int AS oid`)
    const read = `SELECT ${columns.map((_, i) => `c${i}::text`).join(', ')} FROM`
    const [stored] = await scene.sql(`${read} typed`)
    await source.as(lease, async (client) => {
      const view = `${lease.credential.wall!.schema}.r${String(table!['oid'])}`
      const { rows: shown } = await client.query<Record<string, unknown>>(`${read} ${view}`)
      const expected = Object.values(stored!).map((value, i) => (i < types.length ? value : null))
      assert.deepEqual(Object.values(shown[0]!), expected)
    })
    await lease.revoke()
  })
})

describe('a gateway before a target with a profile', () => {
  let scene: Scene
  const profile = { schemas: ['public'], rights: ['select', 'insert', 'update'] }
  before(async () => {
    const lease = { 'postgres-role': { admin: 'file:./admin-url', profile, owner: 'orders_owner' } }
    scene = await startScene({ target: { lease } })
    await scene.truth('GRANT CREATE ON DATABASE orders TO orders_owner')
  })
  after(() => scene[Symbol.asyncDispose]())

  it('opens sessions that cannot read what is hidden, and refuses who names a masked view', async () => {
    const client = await scene.connect()
    assert.equal((await client.query('SELECT id, name FROM customers')).rowCount, 3)
    const [view] = await scene.truth("SELECT oid::regclass::text AS name FROM pg_class WHERE relname ~ '^r[0-9]+$'")
    const text = `SELECT * FROM ${String(view!['name'])}`
    await assert.rejects(client.query(text), { code: '42501' })
    const last = (await scene.records()).findLast((entry) => entry.type === 'operation')
    assert.deepEqual([last?.type === 'operation' && last.decision, last?.text], ['deny', text])
    const [role] = await scene.truth(`
      SELECT rolname, has_column_privilege(oid, 'customers', 'email', 'SELECT') AS hidden,
        has_column_privilege(oid, 'customers', 'name', 'SELECT') AS seen, has_table_privilege(oid, 'orders', 'DELETE') AS deletes
      FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'sp\\_%'`)
    assert.deepEqual([role?.['hidden'], role?.['seen'], role?.['deletes']], [false, true, false])
    await client.end()
  })

  it('has its grants to PUBLIC found by check', async () => {
    await scene.truth('GRANT SELECT ON customers, contacts TO PUBLIC')
    const remedies = (await findProblems(scene.config, false)).map(({ remedy }) => remedy)
    assert.deepEqual(
      new Set(remedies),
      new Set(['customers', 'contacts'].map((name) => `REVOKE SELECT ON "public"."${name}" FROM PUBLIC;`)),
    )
  })
})
