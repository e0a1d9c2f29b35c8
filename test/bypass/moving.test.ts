import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { bind, describePortal, execute, parse, query, sync } from '../client-messages.ts'
import { show, type Message, type RawClient } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertAlive, assertNothingSecret, codes, intrude, startRange, take } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

/** A value of `people` where `mine` has no such column, and else one of `mine`. */
const INNER = "(SELECT secret || '' FROM mine LIMIT 1)"
const READ = `SELECT ${INNER} FROM people`

beforeEach(async () => {
  await using client = await intrude(scene)
  const made = await take(client, [
    "CREATE TABLE mine AS SELECT 1 AS id, ''::text AS secret",
    'CREATE TABLE plain AS SELECT 1 AS id',
    "CREATE VIEW seen AS SELECT 1 AS id, ''::text AS secret",
    'CREATE TYPE inside AS (a int)',
  ])
  assert.deepEqual(codes(made), [])
})
afterEach(() =>
  scene.truth(`DROP VIEW IF EXISTS seen; DROP TABLE IF EXISTS mine, plain, other, inner_type, elder CASCADE; DROP TYPE IF EXISTS inside;
    DELETE FROM ledger WHERE id > 9000`),
)

/** What the client hears within a moment, and what it has heard when the other has done this. */
async function meanwhile(
  reader: RawClient,
  send: () => void,
  then: () => Promise<unknown>,
): Promise<readonly Message[]> {
  const since = reader.messages.length
  send()
  await sleep(500)
  await then()
  const answers = await reader.ready()
  assertNothingSecret(reader, since)
  return answers
}

describe('a statement that waits while another session changes names shows nothing hidden', () => {
  const changes: readonly (readonly [change: string, read?: string])[] = [
    ['ALTER TABLE mine DROP COLUMN secret'],
    ['ALTER TABLE mine RENAME COLUMN secret TO x'],
    ['ALTER TABLE mine RENAME TO other; ALTER TABLE plain RENAME TO mine'],
    ['DROP TABLE mine; CREATE TABLE mine AS SELECT 1 AS id'],
    ['DROP VIEW seen; CREATE VIEW seen AS SELECT 1 AS id', READ.replace('mine', 'seen')],
    ['ALTER TABLE mine SET SCHEMA attic; ALTER TABLE plain RENAME TO mine; ALTER TABLE attic.mine SET SCHEMA public'],
  ]
  for (const [change, read = READ] of changes) {
    it(`${change}; ${read}`, async () => {
      await using changer = await intrude(scene)
      await using reader = await intrude(scene)
      assert.deepEqual(codes(await take(reader, [read])), [])
      await take(changer, ['BEGIN', ...change.split('; ')])
      await meanwhile(
        reader,
        () => reader.send(query(read)),
        () => take(changer, ['COMMIT']),
      )
      await assertAlive(reader)
    })
  }

  it('a prepared statement', async () => {
    await using changer = await intrude(scene)
    await using reader = await intrude(scene)
    await take(reader, [[parse(READ, 's'), sync]])
    await take(changer, ['BEGIN', 'ALTER TABLE mine DROP COLUMN secret'])
    await meanwhile(
      reader,
      () => reader.send(bind({ statement: 's' }), describePortal(), execute(), sync),
      () => take(changer, ['COMMIT']),
    )
  })

  it('a copy of what it reads is not made', async () => {
    await using changer = await intrude(scene)
    await using writer = await intrude(scene)
    await take(changer, ['BEGIN', 'ALTER TABLE mine DROP COLUMN secret'])
    await meanwhile(
      writer,
      () => writer.send(query(`INSERT INTO ledger (id, total, body) SELECT 9000 + id, 0, ${INNER} FROM people`)),
      () => take(changer, ['COMMIT']),
    )
    assert.deepEqual(await scene.truth("SELECT body FROM ledger WHERE id > 9000 AND body <> ''"), [])
  })

  it('where it was sent before the change', async () => {
    await using changer = await intrude(scene)
    await using reader = await intrude(scene)
    await using locker = await intrude(scene)
    await take(locker, ['BEGIN', 'LOCK TABLE decoy'])
    const since = reader.messages.length
    reader.send(query(`SELECT count(*) FROM decoy; ${READ}`))
    await sleep(500)
    changer.send(query('ALTER TABLE mine DROP COLUMN secret'))
    await sleep(500)
    await take(locker, ['COMMIT'])
    await reader.ready()
    assertNothingSecret(reader, since)
    assert.deepEqual(show(await changer.ready()), ['C ALTER TABLE', 'Z I'])
  })

  it('where the changer has left in the middle of it', async () => {
    await using changer = await intrude(scene)
    await using reader = await intrude(scene)
    await using locker = await intrude(scene)
    await take(locker, ['BEGIN', 'LOCK TABLE mine IN ACCESS SHARE MODE'])
    changer.send(query('ALTER TABLE mine DROP COLUMN secret'))
    await sleep(500)
    await meanwhile(
      reader,
      () => reader.send(query(READ)),
      async () => {
        await changer[Symbol.asyncDispose]()
        await take(locker, ['COMMIT'])
      },
    )
  })
})

describe('names that one session changes hide what they may mean', () => {
  const texts: readonly (readonly string[])[] = [
    ['BEGIN', 'DROP TABLE mine', 'CREATE TABLE mine (id int)', 'INSERT INTO mine VALUES (1)', READ],
    ['BEGIN; DROP TABLE mine; CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)', READ],
    ["CREATE TABLE inner_type (id int); CREATE TABLE other (id int, secret inner_type); INSERT INTO other VALUES (1)",
      'BEGIN', 'DROP TABLE inner_type CASCADE', "SELECT (SELECT coalesce(secret::text, '') FROM other) FROM people"],
    ['ALTER TABLE mine DROP secret', `BEGIN; DECLARE c CURSOR WITH HOLD FOR ${READ}; COMMIT`, "ALTER TABLE mine ADD secret text", 'FETCH 1 c'],
  ] // prettier-ignore
  for (const steps of texts) {
    it(steps.join('; '), async () => {
      await using client = await intrude(scene)
      assert.deepEqual(codes(await take(client, steps)), [])
      await assertAlive(client)
      assertNothingSecret(client)
    })
  }

  it('a cursor that outlived a change, by the wire', async () => {
    await using client = await intrude(scene)
    const steps = [
      'ALTER TABLE mine DROP secret',
      `BEGIN; DECLARE c CURSOR WITH HOLD FOR ${READ}; COMMIT`,
      'ALTER TABLE mine ADD secret text',
      [execute('c', 1), sync],
    ]
    assert.deepEqual(codes(await take(client, steps)), [])
    assertNothingSecret(client)
  })
})

describe('a portal goes on as it began', () => {
  it('a row at a time', async () => {
    await using client = await intrude(scene)
    const text = "SELECT upper(secret), secret || '' FROM people"
    const steps = [[parse(text), bind(), describePortal(), execute('', 1), execute('', 1), execute(), sync]]
    assert.deepEqual(codes(await take(client, steps)), [])
    const cursor = [`BEGIN; DECLARE c CURSOR FOR ${text}`, [execute('c', 1), sync], [execute('c', 1), sync], 'ROLLBACK']
    assert.deepEqual(codes(await take(client, cursor)), [])
    assertNothingSecret(client)
  })
})

describe('changes of names wait for nobody that they do not affect', () => {
  it('a statement that uses other tables', async () => {
    await using changer = await intrude(scene)
    await using reader = await intrude(scene)
    await using locker = await intrude(scene)
    await take(locker, ['BEGIN', 'LOCK TABLE decoy'])
    reader.send(query('SELECT count(*) FROM decoy, people'))
    await sleep(200)
    assert.deepEqual(show(await take(changer, ['ALTER TABLE mine DROP COLUMN secret'])), ['C ALTER TABLE', 'Z I'])
    await take(locker, ['COMMIT'])
    assert.deepEqual(codes(await reader.ready()), [])
  })

  it('and others read what they read before', async () => {
    await using changer = await intrude(scene)
    await using reader = await intrude(scene)
    await take(changer, ['BEGIN', 'ALTER TABLE mine DROP COLUMN secret'])
    assert.deepEqual(show(await take(reader, ['SELECT id FROM plain'])), ['T id', 'D 1', 'C SELECT 1', 'Z I'])
    await take(changer, ['ROLLBACK'])
    assert.deepEqual(codes(await take(reader, [READ])), [])
  })
})
