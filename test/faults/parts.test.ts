import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { Refusal } from '../../src/gateway/domain.ts'
import { limitFiles, startScene, told, type Scene, within } from './scene.ts'

const update = (id: number): string => `UPDATE orders SET total = 0 WHERE id = ${id}`

describe('a part of the gateway that fails', () => {
  let scene: Scene
  let dba: string
  before(async () => {
    const policies = await readFile(join(import.meta.dirname, '..', 'scene.cedar'), 'utf8')
    scene = await startScene({ policies: policies.replace('@wait("4s")', '@wait("2s")') })
    dba = await scene.mint({ kind: 'User', name: 'dora', groups: ['dba'], person: 'dora@shop.example' })
  })
  after(() => scene?.[Symbol.asyncDispose]())
  afterEach(async () => {
    await limitFiles(scene.gateway.pid, undefined)
    await scene.settled()
    assert.deepEqual(await scene.shop.truth('SELECT FROM orders WHERE total = 0'), [])
  })

  const file = (): string => join(scene.data, 'sallyport.db')
  /** Sends an UPDATE; resolves when it is held, with its answer to come and the id of its approval. */
  const held = async (
    client: Client,
    order: number,
  ): Promise<{ readonly answer: Promise<unknown>; readonly id: string }> => {
    const noticed = new Promise<{ readonly detail?: string }>((resolve) => client.once('notice', resolve))
    const answer = client.query(update(order))
    answer.catch(() => undefined)
    return { answer, id: (JSON.parse((await noticed).detail ?? '{}') as Refusal).approval!.id }
  }
  /** From here on the gateway cannot write its store, but its log. */
  const storeUnwritable = async (): Promise<Disposable> => {
    const database = new DatabaseSync(file())
    // While somebody reads, the file that SQLite writes to only grows: the limit stands below its end (sqlite.org/wal.html).
    const reader = new DatabaseSync(file())
    reader.exec('BEGIN; SELECT * FROM installation')
    database.exec('CREATE TABLE IF NOT EXISTS ballast (bytes)')
    database.exec('INSERT INTO ballast VALUES (zeroblob(3000000)); DELETE FROM ballast')
    await limitFiles(scene.gateway.pid, 2_500_000)
    return {
      [Symbol.dispose]: () => {
        reader.close()
        database.close()
      },
    }
  }

  it('is the store, locked by another program: who comes in waits for it', async () => {
    const other = new DatabaseSync(file())
    other.exec('BEGIN IMMEDIATE')
    let isIn = false
    const coming = scene.connect().then((client) => ((isIn = true), client))
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.equal(isIn, false)
    other.exec('COMMIT')
    other.close()
    await (await coming).end()
  })

  it('is the store, which cannot be written: nobody comes in, open sessions go on; then all is as before', async () => {
    const client = await scene.connect()
    {
      using _store = await storeUnwritable()
      const { message, ...rest } = await told(scene.connect())
      assert.deepEqual(rest, { severity: 'FATAL', code: 'SP004', refusal: 'unavailable' })
      assert.equal(message, "The gateway's store does not work.")
      assert.equal((await client.query('SELECT * FROM orders')).rowCount, 3)
      await client.end()
      await within('the role is gone', async () => (await scene.shop.roles()).length === 0)
    }
    await limitFiles(scene.gateway.pid, undefined)
    const again = await scene.connect()
    assert.equal((await again.query('SELECT * FROM orders')).rowCount, 3)
    await again.end()
    const types = (await scene.records()).map(({ type }) => type)
    assert.ok(types.includes('session.refused'), 'it is recorded that somebody was turned away')
    assert.match(scene.gateway.said().stderr, /warning: the store failed: .*\n.*warning: the store works again\n/s)
  })

  it('is the store, while an operation is held: the vote does not count, and it does not run', async () => {
    const client = await scene.connect()
    const { answer, id } = await held(client, 10)
    {
      using _store = await storeUnwritable()
      const vote = await scene.api(dba, `/api/v1/approvals/${id}/approve`, {})
      assert.equal(vote.status, 503, JSON.stringify(vote.body))
      assert.equal(vote.body['code'], 'unavailable')
    }
    await limitFiles(scene.gateway.pid, undefined)
    assert.equal((await told(answer)).refusal, 'approval_required')
    assert.deepEqual((await scene.api(dba, `/api/v1/approvals/${id}`)).body['votes'], [])
    await client.end()
  })

  it('is the store, when an approval is to be used up: the operation does not run', async () => {
    const client = await scene.connect()
    const { answer, id } = await held(client, 11)
    await told(answer)
    assert.equal((await scene.api(dba, `/api/v1/approvals/${id}/approve`, {})).status, 200)
    {
      using _store = await storeUnwritable()
      const { severity, code, refusal } = await told(client.query(update(11)))
      assert.deepEqual([severity, code, refusal], ['FATAL', 'SP004', 'unavailable'])
    }
  })

  it('is the approver, who never answers: after the wait it is a ticket, the connection goes on', async () => {
    const client = await scene.connect()
    const { answer } = await held(client, 12)
    const { severity, code, refusal } = await told(answer)
    assert.deepEqual([severity, code, refusal], ['ERROR', 'SP001', 'approval_required'])
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    await client.end()
  })

  it('is the parser, which a text kills or keeps busy: that text is refused, others of all sessions are read', async () => {
    const [attacker, other] = [await scene.connect(), await scene.connect()]
    const tables = Array.from({ length: 40_000 }, (_, i) => `orders v${i}`).join()
    const busy = `SELECT ${Array.from({ length: 40_000 }, () => 'x').join()} FROM ${tables}`
    for (const text of [`SELECT 1${'+1'.repeat(400_000)}`, busy]) {
      const refused = told(attacker.query(text))
      const { rows } = await other.query('SELECT count(*)::int AS orders FROM orders')
      assert.deepEqual(rows, [{ orders: 3 }])
      const { message, ...rest } = await refused
      assert.deepEqual(rest, { severity: 'ERROR', code: 'SP007', refusal: 'unreadable' })
      assert.match(message, /^The statement (is too complex|takes too long) to read\.$/)
      assert.equal((await attacker.query('SELECT 1')).rowCount, 1)
    }
    await attacker.end()
    await other.end()
  })
})
