import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { query, run, sync } from '../client-messages.ts'
import { frame } from '../frames-builder.ts'
import { brief, fields, show, type RawClient } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { within } from '../waiting.ts'
import { assertAlive, assertNothingSecret, intrude, startRange, take } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
  await scene.truth(LATE_NO)
})
after(() => scene?.[Symbol.asyncDispose]())

/** A table whose COPY asks for input and then fails before it reads any, once nobody holds the row of `gate`. */
const LATE_NO = `
  CREATE TABLE gate (id int); INSERT INTO gate VALUES (1); CREATE TABLE barred (id int);
  GRANT ALL ON gate, barred TO orders_writer;
  CREATE FUNCTION bar() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM FROM gate FOR UPDATE; RAISE EXCEPTION ''barred''; END';
  CREATE TRIGGER bar BEFORE INSERT ON barred FOR EACH STATEMENT EXECUTE FUNCTION bar()`
const done = frame('c')

const waitsForLock = async (): Promise<boolean> =>
  (await scene.truth("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).length > 0

/** Outcomes of the last operations of the last session, by their texts. */
async function outcomes(): Promise<ReadonlyMap<string, string | undefined>> {
  const records = await scene.records()
  const texts = new Map(records.flatMap((each) => (each.type === 'operation' ? [[each.operation, each.text]] : [])))
  const ends = records.flatMap((each) =>
    each.type === 'answer' && each.outcome ? [[texts.get(each.operation!) ?? '', each.outcome.status] as const] : [],
  )
  return new Map(ends)
}

describe('a COPY that fails before it reads anything', () => {
  /** Sends these behind the end of the input, while the target cannot have failed yet. */
  async function copyAndFail(begin: readonly Buffer[], behind: readonly Buffer[]): Promise<RawClient> {
    const [client, holder] = [await intrude(scene), await intrude(scene)]
    await take(client, ['SELECT id FROM barred'])
    await take(holder, ['BEGIN', 'SELECT id FROM gate FOR UPDATE'])
    client.send(...begin)
    await client.until('G')
    client.send(done, ...behind)
    await within('the COPY waits', waitsForLock)
    await take(holder, ['COMMIT'])
    return client
  }

  it('leaves each answer to the statement that it is of, with a Sync sent behind it already', async () => {
    const trigger = "UPDATE visits SET kind = 'warning' WHERE id = 1"
    const client = await copyAndFail(
      [run('COPY barred FROM STDIN'), sync],
      [sync, query(trigger), query('SELECT 1'), query('SELECT 2')],
    )
    const answers = await client.ready(4)
    assert.deepEqual(
      brief(answers).filter((line) => !line.startsWith('T ')),
      ['E P0001', 'Z I', 'N 01000', 'C UPDATE 1', 'Z I', 'D 1', 'C SELECT 1', 'Z I', 'D 2', 'C SELECT 1', 'Z I'],
    )
    assertNothingSecret(client)
    const ends = await outcomes()
    assert.deepEqual([ends.get('COPY barred FROM STDIN'), ends.get(trigger)], ['failed', 'done'])
    await assertAlive(client)
  })

  it('leaves a session that goes on when all was sent at once', async () => {
    const client = await intrude(scene)
    client.send(run('COPY decoy FROM STDIN (FREEZE)'), sync, done, sync, query('SELECT 1'))
    const answers = brief(await client.until('D'))
    assert.ok(answers.includes('E 55000'), answers.join(' | '))
    await client.ready()
    await assertAlive(client)
  })
})

describe('what a session is told while a statement of it runs', () => {
  it('is no payload of a notification, however harmless the statement is', async () => {
    const [listener, other] = [await intrude(scene), await intrude(scene)]
    await take(listener, ['LISTEN news'])
    listener.send(query("SELECT count(a.body || b.body || 'slow') FROM ledger a, ledger b"))
    await within('it runs', async () => (await scene.truth(RUNNING)).length > 0)
    await take(other, ["UPDATE visits SET kind = 'notify' WHERE id = 1"])
    const answers = await listener.ready()
    assert.deepEqual(
      answers.filter(({ type }) => type === 'A').map(({ body }) => body.toString('latin1', 4)),
      ['news\0***\0'],
    )
    assertNothingSecret(listener)
  })
})

const RUNNING = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()`

describe('a name that a statement in a pipeline changes', () => {
  const messages = (answers: Awaited<ReturnType<typeof take>>): readonly string[] =>
    answers.filter(({ type }) => type === 'E').map(({ body }) => fields(body).get('M') ?? '')

  it('is in doubt until that statement is answered, also when one before it is answered meanwhile', async () => {
    const client = await intrude(scene)
    const texts = ['SELECT 1', 'SELECT pg_sleep(0.5)', 'ALTER TABLE decoy RENAME TO folk', 'SELECT * FROM folk']
    client.send(...texts.map(query))
    const [refused] = messages(await client.ready(4))
    assert.match(refused ?? 'nothing was refused', /^What folk means has been changed/)
    await take(client, ['ALTER TABLE folk RENAME TO decoy'])
  })

  it('is not in doubt when that statement was refused', async () => {
    const client = await intrude(scene)
    const answers = await take(client, ['ALTER TABLE kept RENAME TO folk', 'SELECT * FROM kept'])
    assert.equal(messages(answers).length, 1, messages(answers).join(' | '))
  })
})

describe('a statement that names very much', () => {
  it('is refused before policy is asked about each of it', async () => {
    const client = await intrude(scene)
    const tables = Array.from({ length: 2001 }, (_, place) => `t${place}`)
    let answers: Awaited<ReturnType<typeof take>> = []
    await within('it is read in time', async () => {
      answers = await take(client, [`DROP TABLE IF EXISTS ${tables.join(', ')}`])
      return !String(show(answers)).includes('takes too long to read')
    })
    assert.match(String(brief(answers)), /^E SP0/)
    assert.match(String(show(answers)), /has 2001 things that it touches/)
    await assertAlive(client)
  })
})
