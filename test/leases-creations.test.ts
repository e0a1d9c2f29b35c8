import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

const LEASE = { admin: 'file:./admin-url', member_of: ['orders_writer'] }
const MAKERS = `
@id("makers-do") permit (principal in Group::"makers", action in [Action::"write", Action::"schema"], resource in Target::"orders");`

type Answer = { readonly code?: string; readonly message?: string; readonly hint?: string; readonly detail?: string }

describe('what a session creates', () => {
  const ownership = `SELECT relname, relowner::regrole::text AS owner FROM pg_class WHERE relname LIKE 'made\\_%' ORDER BY 1`
  const scenes: Scene[] = []
  after(async () => {
    for (const scene of scenes) await scene[Symbol.asyncDispose]()
  })
  const start = async (target?: object): Promise<{ scene: Scene; client: Client }> => {
    const scene = await startScene({ rules: MAKERS, target })
    scenes.push(scene)
    return { scene, client: await scene.connect(await scene.token({ groups: ['data-agents', 'makers'] })) }
  }
  const end = async (scene: Scene, client: Client): Promise<void> => {
    await client.end()
    await within('the role is gone', async () => (await scene.roles()).length === 0)
  }

  describe('where the lease names an owner', () => {
    it('outlives the session and belongs to the owner', async () => {
      const { scene, client } = await start()
      await client.query('CREATE TABLE made_table (id int PRIMARY KEY, total numeric)')
      await client.query('INSERT INTO made_table VALUES (1, 2)')
      await client.query('CREATE VIEW made_view AS SELECT id FROM made_table')
      await client.query(`CREATE TYPE made_kind AS ENUM ('a', 'b')`)
      const [role] = await scene.roles()
      const during = await scene.truth(ownership)
      assert.deepEqual(new Set(during.map(({ owner }) => owner)), new Set([role]))
      await end(scene, client)
      assert.deepEqual(await scene.truth(ownership), [
        { relname: 'made_table', owner: 'orders_owner' },
        { relname: 'made_table_pkey', owner: 'orders_owner' },
        { relname: 'made_view', owner: 'orders_owner' },
      ])
      assert.deepEqual(await scene.truth('SELECT total::int FROM made_table'), [{ total: 2 }])
      assert.deepEqual(
        await scene.truth(`SELECT typowner::regrole::text AS owner FROM pg_type WHERE typname = 'made_kind'`),
        [{ owner: 'orders_owner' }],
      )
    })
  })

  describe('where the lease names no owner', () => {
    let scene: Scene
    let client: Client
    before(async () => {
      ;({ scene, client } = await start({ lease: { 'postgres-role': LEASE } }))
    })

    for (const sql of [
      'CREATE TABLE made_table (id int)',
      'CREATE TABLE public.made_table AS SELECT id FROM orders',
      'SELECT id INTO made_table FROM orders',
      'CREATE UNLOGGED TABLE made_table (id int)',
      'CREATE VIEW made_view AS SELECT id FROM orders',
      'CREATE MATERIALIZED VIEW made_view AS SELECT id FROM orders',
      'CREATE SEQUENCE made_sequence',
      `CREATE TYPE made_kind AS ENUM ('a')`,
      'CREATE DOMAIN made_domain AS int',
      'CREATE SCHEMA made_schema',
      'CREATE SCHEMA "pg_temp_x"',
      'CREATE TABLE "pg_temp.made_table" (id int)',
      'CREATE TEMP TABLE made_one (id int); CREATE TABLE made_two (id int)',
    ]) {
      it(`is refused: ${sql}`, async () => {
        const error = await client.query(sql).then(
          () => assert.fail('it was created'),
          (answer: Answer) => answer,
        )
        assert.equal(error.code, '42501')
        assert.match(
          error.message ?? '',
          /^CREATE on .* is refused: target orders names nobody to own what sessions create\.$/,
        )
        assert.equal(error.hint, 'Use a temporary table, which lasts as long as the session.')
        assert.equal((JSON.parse(error.detail ?? '') as { code: string }).code, 'denied')
        assert.deepEqual(await scene.truth(ownership), [])
        const record = (await scene.records()).findLast(({ type }) => type === 'operation')
        assert.ok(record?.type === 'operation')
        assert.deepEqual([record.text, record.decision, record.refusal?.code], [sql, 'deny', 'denied'])
      })
    }

    it('is refused in a Parse as well', async () => {
      await assert.rejects(client.query({ name: 'made', text: 'CREATE TABLE made_table (id int)' }), { code: '42501' })
      await assert.rejects(client.query('CREATE TABLE made_table AS SELECT $1::int AS id', [1]), { code: '42501' })
      assert.deepEqual(await scene.truth(ownership), [])
    })

    it('is refused as what an EXECUTE fills', async () => {
      await client.query('PREPARE totals AS SELECT id FROM orders')
      await assert.rejects(client.query('CREATE TABLE made_table AS EXECUTE totals'), { code: '42501' })
    })

    it('may be temporary: that is gone with the session', async () => {
      await client.query('CREATE TEMP TABLE made_temp (id int PRIMARY KEY)')
      await client.query('CREATE TABLE pg_temp.made_other AS SELECT id FROM orders')
      await client.query('CREATE INDEX ON made_temp (id)')
      await client.query('INSERT INTO made_temp VALUES (7)')
      assert.deepEqual((await client.query('SELECT id FROM made_temp')).rows, [{ id: 7 }])
      await end(scene, client)
      assert.deepEqual(await scene.truth(ownership), [])
    })
  })
})
