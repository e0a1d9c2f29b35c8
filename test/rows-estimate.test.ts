import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { OperationDecided, StoredEntry } from '../src/record/entry.ts'
import { run, sync } from './client-messages.ts'
import { rawConnect, show } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'

const POLICIES = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("all") permit (principal in Group::"data-agents", action, resource in Target::"orders");
@id("bulk") @hold("group:dba") @wait("0s") @preview("rows")
permit (principal, action == Action::"sql.insert", resource in Target::"orders")
when { context has rows_estimate && context.rows_estimate > 2 };
@id("few") @message("Too many rows.")
forbid (principal, action in [Action::"sql.update", Action::"sql.delete"], resource)
unless { context has rows_estimate && context.rows_estimate <= 20 };
`

describe('a policy that reads rows_estimate', () => {
  let scene: Scene
  let client: Client

  before(async () => {
    scene = await startScene({ policies: POLICIES })
    await scene.truth('CREATE TABLE many AS SELECT i AS id, i % 7 AS part FROM generate_series(1, 5000) i')
    await scene.truth('ALTER TABLE many ADD PRIMARY KEY (id)')
    await scene.truth('GRANT SELECT, INSERT, UPDATE, DELETE ON many TO PUBLIC')
    await scene.truth('ANALYZE many')
    client = await scene.connect()
  })
  after(async () => {
    await client?.end()
    await scene?.[Symbol.asyncDispose]()
  })

  const refusal = (sql: string, values?: readonly unknown[]): Promise<string> =>
    client.query(sql, values && [...values]).then(
      () => 'ran',
      (error: Error) => error.message,
    )
  const TOO_MANY = /^Too many rows \(rule few\)\.$/

  const decisions = async (text: string): Promise<readonly (StoredEntry & OperationDecided)[]> =>
    (await scene.records()).filter((record) => record.type === 'operation').filter((record) => record.text === text)

  it('lets a change of few rows run, and refuses one of many before anything of it runs', async () => {
    assert.equal(await refusal('UPDATE many SET part = 0 WHERE id = 8'), 'ran')
    assert.match(await refusal('UPDATE many SET part = 0 WHERE id > 8'), TOO_MANY)
    assert.deepEqual(await scene.truth('SELECT count(*)::int FROM many WHERE part = 0'), [{ count: 715 }])
  })

  it('asks with the parameters that are bound, of a statement prepared before too', async () => {
    const named = (last: number): Promise<string> =>
      client.query({ name: 'range', text: 'DELETE FROM many WHERE id BETWEEN $1 AND $2', values: [4001, last] }).then(
        () => 'ran',
        (error: Error) => error.message,
      )
    assert.equal(await named(4005), 'ran')
    assert.match(await named(4905), TOO_MANY)
    assert.equal(await named(4006), 'ran')
    assert.match(await refusal('DELETE FROM many WHERE id < $1', [3000]), TOO_MANY)
    assert.deepEqual(await scene.truth('SELECT count(*)::int FROM many'), [{ count: 4994 }])
  })

  it('counts what is changed anywhere in the statement', async () => {
    assert.match(await refusal('WITH gone AS (DELETE FROM many WHERE id > 9 RETURNING 1) SELECT 1'), TOO_MANY)
    assert.match(await refusal('DELETE FROM many WHERE id > (SELECT min(id) FROM many)'), TOO_MANY)
    assert.equal(
      await refusal('WITH gone AS (DELETE FROM many WHERE id = 9 RETURNING 1) SELECT * FROM many'),
      'Too many rows (rule few).',
    )
    assert.equal(await refusal('DELETE FROM many WHERE id = (SELECT max(id) FROM many)'), 'ran')
  })

  it('is asked inside a transaction, which goes on whatever comes of it', async () => {
    await client.query('BEGIN')
    assert.equal(await refusal('DELETE FROM many WHERE id = 100'), 'ran')
    assert.match(await refusal('DELETE FROM many WHERE nope = 1'), TOO_MANY)
    await client.query('ROLLBACK')
    await client.query('BEGIN')
    await assert.rejects(client.query('INSERT INTO many (nope) VALUES (1)'), { code: '42703' })
    await client.query('ROLLBACK')
    await client.query('BEGIN')
    assert.equal(await refusal('DELETE FROM many WHERE id = 101'), 'ran')
    assert.equal(await refusal('DELETE FROM many WHERE id = $1', [102]), 'ran')
    await client.query('COMMIT')
    assert.deepEqual(await scene.truth('SELECT id FROM many WHERE id BETWEEN 100 AND 102'), [{ id: 100 }])
  })

  it('refuses what there is no estimate for', async () => {
    for (const sql of [
      'DELETE FROM many WHERE id = 200; DELETE FROM many WHERE id = 201',
      'EXPLAIN ANALYZE DELETE FROM many WHERE id = 200',
      'DELETE FROM many WHERE nope = 1',
    ]) {
      await assert.rejects(client.query(sql), { message: 'Too many rows (rule few).', hint: /gave no estimate/ }, sql)
    }
  })

  it('asks nothing where the estimate decides nothing', async () => {
    const before = (await scene.records()).filter(({ type }) => type === 'preview').length
    assert.equal(await refusal('SELECT count(*) FROM many'), 'ran')
    assert.equal(await refusal('SELECT count(*) FROM many WHERE id = $1', [1]), 'ran')
    assert.equal((await scene.records()).filter(({ type }) => type === 'preview').length, before)
  })

  it('is on record: the question before the decision, and the number with it', async () => {
    const text = 'UPDATE many SET part = 1 WHERE id = 300'
    assert.equal(await refusal(text), 'ran')
    const [decided, ...others] = await decisions(text)
    assert.deepEqual(others, [])
    assert.deepEqual([decided!.decision, decided!.measured], ['allow', { rows_estimate: 1 }])
    const asked = (await scene.records()).filter((record) => record.type === 'preview')
    const question = asked.find(({ operation }) => operation === decided!.operation)!
    assert.equal(question.text, text)
    assert.ok(question.seq < decided!.seq)
  })

  it('lets a statement be prepared, and names the rule that is left to its execution', async () => {
    const text = 'UPDATE many SET part = $1 WHERE id = 301'
    assert.equal(await refusal(text, [2]), 'ran')
    const stages = (await decisions(text)).map(({ stage, decision, rules }) => [stage, decision, rules])
    assert.deepEqual(stages, [
      ['prepare', 'allow', ['few']],
      ['execute', 'allow', ['all']],
    ])
  })

  it('is asked once for the decision and for the card of the approver', async () => {
    const insert = (ids: readonly number[]): string => `INSERT INTO many VALUES ${ids.map((id) => `(${id}, 1)`).join()}`
    assert.equal(await refusal(insert([9001, 9002])), 'ran')
    const text = insert([9003, 9004, 9005])
    const ticket = /apr_[0-9a-f-]{36}/.exec(await refusal(text))?.[0]
    const asked = (await scene.records()).filter((record) => record.type === 'preview' && record.text === text)
    assert.equal(asked.length, 1)
    const dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'], person: 'dora@shop.example' })
    const { body } = await scene.api(dba, `/api/v1/approvals/${ticket}`)
    assert.deepEqual(body['preview'], { rows_estimate: 3 })
  })

  it('is not asked of what cannot be prepared: its client hears what the target says to that', async () => {
    await assert.rejects(client.query('DELETE FROM many WHERE nope = $1', [1]), { code: '42703' })
    assert.equal(await refusal('DELETE FROM many WHERE id = $1', [400]), 'ran')
  })

  it('is not known of what stands behind another operation of the same pipeline', async () => {
    await using raw = await rawConnect({ port: scene.gateway.postgres.port, password: await scene.token() })
    raw.send(run('SELECT 1'), run('DELETE FROM many WHERE id = 500'), sync)
    const answers = await raw.ready(1)
    assert.match(show(answers).join(), /Too many rows/)
    assert.deepEqual(await scene.truth('SELECT id FROM many WHERE id = 500'), [{ id: 500 }])
    raw.send(run('DELETE FROM many WHERE id = 500'), sync)
    assert.doesNotMatch(show(await raw.ready(1)).join(), /Too many rows/)
    assert.deepEqual(await scene.truth('SELECT id FROM many WHERE id = 500'), [])
  })
})
