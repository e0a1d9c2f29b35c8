import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startPostgres } from '../../../test/postgres.ts'
import type { TestPostgres } from '../../../test/postgres.ts'
import type { Clock } from '../../gateway/clock.ts'
import { catalogSource, readCatalog } from './catalog.ts'
import type { CatalogQuery } from './catalog.ts'

const SETUP = `
  CREATE TABLE customers (id int PRIMARY KEY, email text); CREATE TABLE plain (id int); CREATE TABLE parent (id int);
  CREATE VIEW seen AS SELECT email FROM customers;`
const SENSITIVE = { pii: ['public.customers.email'] }

let postgres: TestPostgres
let query: CatalogQuery
before(async () => {
  postgres = await startPostgres()
  await postgres.query(SETUP)
  query = (sql) => postgres.query(sql)
})
after(() => postgres[Symbol.asyncDispose]())

const stopped: Clock = { now: () => 0, monotonic: () => 0, sleep: async () => {} }

/** What changes the catalog; with 0, what does not. */
const CHANGES: readonly (readonly [change: string, reads?: 0])[] = [
  ['SELECT 1', 0],
  ['INSERT INTO plain DEFAULT VALUES', 0],
  ['ANALYZE plain', 0],
  ['VACUUM plain', 0],
  ['CREATE TABLE fresh (id int, a text)'],
  ['ALTER TABLE fresh RENAME COLUMN a TO b'],
  ['ALTER TABLE fresh RENAME TO fresher'],
  ['CREATE SCHEMA place; ALTER TABLE fresher SET SCHEMA place'],
  ['ALTER TABLE place.fresher ADD COLUMN c int'],
  ['ALTER TABLE place.fresher DROP COLUMN b'],
  ['CREATE UNIQUE INDEX compares ON place.fresher (c)'],
  ['DROP INDEX place.compares'],
  ['ALTER TABLE place.fresher INHERIT parent'],
  ['ALTER TABLE place.fresher NO INHERIT parent'],
  ['CREATE VIEW place.shown AS SELECT id FROM place.fresher'],
  ['CREATE OR REPLACE VIEW place.shown AS SELECT c AS id FROM place.fresher'],
  ['CREATE OR REPLACE VIEW place.shown AS SELECT 1 AS id FROM customers'],
  ['DROP VIEW place.shown'],
  ['ALTER SCHEMA place RENAME TO places'],
  ['CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS $$SELECT 1$$'],
  ['ALTER FUNCTION fresh() RENAME TO stale'],
  ['DROP FUNCTION stale()'],
  ['DROP SCHEMA places CASCADE'],
] // prettier-ignore

describe('a catalog that is asked for again', () => {
  it('reads no more than what has changed since, which it never misses', async () => {
    let [whole, since] = [0, 0]
    const counted: CatalogQuery = (sql) => {
      if (sql.includes('AS since')) since++
      else whole++
      return query(sql)
    }
    const source = catalogSource({ query: counted, sensitive: SENSITIVE, clock: stopped })
    await source.get()
    for (const [change, reads] of CHANGES) {
      const before = (await source.renew()).catalog
      whole = 0
      await postgres.query(change)
      const { catalog } = await source.renew()
      assert.equal(whole, reads ?? 1, change)
      const { catalog: fresh } = await readCatalog(query, SENSITIVE)
      assert.deepEqual(catalog, fresh, change)
      assert.equal(catalog === before, reads === 0, change)
    }
    assert.ok(since > CHANGES.length)
  })

  it('sees what a transaction changed that was open when it was read', async () => {
    const source = catalogSource({ query, sensitive: SENSITIVE, clock: stopped })
    await using other = new AsyncDisposableStack()
    const client = new Client({ connectionString: postgres.admin })
    await client.connect()
    other.defer(() => client.end())
    await client.query('BEGIN; ALTER TABLE plain ADD COLUMN late int')
    await postgres.query('CREATE TABLE between (id int)')
    await source.get()
    await client.query('COMMIT')
    const { catalog } = await source.renew()
    const plain = catalog.relations.find(({ name }) => name === 'plain')
    assert.ok(plain?.columns.some(({ name }) => name === 'late'))
    await postgres.query('ALTER TABLE plain DROP COLUMN late; DROP TABLE between')
  })
})
