import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { sql } from 'kysely'
import { Fault } from '../gateway/fault.ts'
import { openStore } from './store.ts'

const isStoreFault = (error: unknown): boolean => error instanceof Fault && error.code === 'store'

describe('the store', () => {
  let parent = ''
  let dir = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'store-'))
    dir = join(parent, 'data')
  })
  afterEach(() => rmSync(parent, { recursive: true }))

  it('makes the directory for its owner only, and every file in it too', async () => {
    await using store = await openStore(dir)
    assert.match(store.installation, /^[0-9a-f]{8}$/)
    assert.equal(statSync(dir).mode & 0o777, 0o700)
    const files = readdirSync(dir)
    assert.ok(files.includes('sallyport.db') && files.includes('sallyport.db-wal'))
    for (const file of files) assert.equal(statSync(join(dir, file)).mode & 0o777, 0o600, file)
  })

  it('closes a database file that others could read', async () => {
    await (await openStore(dir))[Symbol.asyncDispose]()
    chmodSync(join(dir, 'sallyport.db'), 0o644)
    await using _store = await openStore(dir)
    assert.equal(statSync(join(dir, 'sallyport.db')).mode & 0o777, 0o600)
  })

  it('keeps its installation id and applies no migration twice when opened again', async () => {
    const first = await openStore(dir)
    const id = first.installation
    await first[Symbol.asyncDispose]()
    await using second = await openStore(dir)
    const applied = await second.query((db) => db.selectFrom('migrations').select('number').execute())
    assert.equal(second.installation, id)
    assert.deepEqual(
      applied.map((row) => row.number),
      [1, 2],
    )
  })

  it('is durable at every commit and checks foreign keys', async () => {
    await using store = await openStore(dir)
    const vote = {
      approval_id: 'apr_none',
      voter: 'a/b',
      person: null,
      groups: '[]',
      vote: 'approve',
      reason: null,
      at: 1,
    }
    await assert.rejects(
      store.query((db) => db.insertInto('votes').values(vote).execute()),
      isStoreFault,
    )
    const reader = new DatabaseSync(join(dir, 'sallyport.db'))
    assert.deepEqual({ ...reader.prepare('pragma journal_mode').get() }, { journal_mode: 'wal' })
    reader.close()
  })

  it('refuses a store that a newer version wrote', async () => {
    const store = await openStore(dir)
    await store.query((db) => db.insertInto('migrations').values({ number: 99, applied_at: 1 }).execute())
    await store[Symbol.asyncDispose]()
    await assert.rejects(openStore(dir), (error) => isStoreFault(error) && /schema 99/.test(String(error)))
  })

  it('refuses a file that is no database', async () => {
    await (await openStore(dir))[Symbol.asyncDispose]()
    for (const file of readdirSync(dir)) rmSync(join(dir, file))
    writeFileSync(join(dir, 'sallyport.db'), 'not a database, but long enough to look like a file of one'.repeat(20))
    await assert.rejects(openStore(dir), isStoreFault)
  })

  it('is made once when two open it at the same time', async () => {
    const [one, two] = await Promise.all([openStore(dir), openStore(dir)])
    assert.equal(one.installation, two.installation)
    await one[Symbol.asyncDispose]()
    await two[Symbol.asyncDispose]()
  })

  it('undoes the whole transaction when a part of it fails', async () => {
    await using store = await openStore(dir)
    const replica = { id: 'aaaaaaaa', started_at: 1, seen_at: 1 }
    await assert.rejects(
      store.transaction(async (trx) => {
        await trx.insertInto('replicas').values(replica).execute()
        await trx.insertInto('replicas').values(replica).execute()
      }),
      isStoreFault,
    )
    const rows = await store.query((db) => db.selectFrom('replicas').selectAll().execute())
    assert.deepEqual(rows, [])
  })

  it('fails with a fault once it is closed', async () => {
    const store = await openStore(dir)
    await store[Symbol.asyncDispose]()
    await assert.rejects(
      store.query((db) => db.selectFrom('grants').selectAll().execute()),
      isStoreFault,
    )
  })

  it('fails with a fault when the disk is full, and works again when it is not', async () => {
    await using store = await openStore(dir)
    const limit = (pages: number): Promise<unknown> =>
      store.query((db) => sql`pragma max_page_count = ${sql.lit(pages)}`.execute(db))
    const add = (id: string): Promise<unknown> =>
      store.transaction((trx) => trx.insertInto('replicas').values({ id, started_at: 1, seen_at: 1 }).execute())
    await limit(1)
    await assert.rejects(add('x'.repeat(100_000)), isStoreFault)
    await limit(1_000_000)
    await add('y'.repeat(100_000))
    const rows = await store.query((db) => db.selectFrom('replicas').select('id').execute())
    assert.deepEqual(
      rows.map((row) => row.id[0]),
      ['y'],
    )
  })
})
