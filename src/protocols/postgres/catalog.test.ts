import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startPostgres } from '../../../test/postgres.ts'
import type { TestPostgres } from '../../../test/postgres.ts'
import type { Clock } from '../../gateway/clock.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Catalog, CatalogRelation } from '../../sql/catalog.ts'
import { catalogSource, readCatalog } from './catalog.ts'
import type { CatalogQuery } from './catalog.ts'

const SETUP = `
  CREATE TABLE customers (id int PRIMARY KEY, dropped int, email text, note text);
  ALTER TABLE customers DROP COLUMN dropped;
  CREATE TABLE plain (id int);
  CREATE VIEW seen AS SELECT c.email FROM customers c WHERE EXISTS (SELECT FROM plain);
  CREATE VIEW seen_again AS WITH s AS (SELECT * FROM seen) SELECT * FROM s;
  CREATE MATERIALIZED VIEW kept AS SELECT email FROM customers;
  CREATE VIEW statistics AS SELECT tablename, most_common_vals::text AS most FROM pg_stats;
  CREATE FUNCTION peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT email FROM public.customers';
  CREATE VIEW behind_a_function AS SELECT peek() AS value;
  CREATE FUNCTION steady(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
  CREATE FUNCTION steady(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  CREATE FUNCTION mixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  CREATE FUNCTION mixed(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION counted(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION counted(text) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
  CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same);
  CREATE VIEW behind_an_operator AS SELECT 'a'::text === 'b'::text AS value;
  CREATE TABLE events (id int, who text) PARTITION BY RANGE (id);
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
  CREATE TABLE events_1_1 (who text, id int); ALTER TABLE events_1 ATTACH PARTITION events_1_1 FOR VALUES FROM (0) TO (5);
  CREATE TABLE parent (id int); CREATE TABLE child (card text) INHERITS (parent);
  CREATE TABLE logged (id int); CREATE RULE log AS ON INSERT TO logged DO ALSO SELECT email FROM customers;
  CREATE SEQUENCE counter; CREATE TYPE pair AS (a int, b int);
  CREATE EXTENSION citext;
  CREATE DOMAIN yes AS boolean; CREATE DOMAIN surely AS yes; CREATE DOMAIN number AS bigint CHECK (VALUE > 0);
  CREATE TABLE typed (a boolean, b surely, c number REFERENCES customers, d numeric(9, 2), e timestamptz, f text[]);
  CREATE TABLE compared (a int, b int, c text, d int4range, e text, UNIQUE (a, b), EXCLUDE USING gist (d WITH &&));
  CREATE UNIQUE INDEX ON compared (lower(c)); CREATE INDEX ON compared (e);
  CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."c""d" (e text, ":relid 4711 " text);
  CREATE VIEW "a.b".":relid 4712" AS SELECT ":relid 4711 " AS ":relid 4713 :funcid 99999" FROM "a.b"."c""d";`
const SENSITIVE = {
  pii: ['public.customers.email', 'public.events.who', 'public.nothing.here', 'a.b.c"d.e'],
  card: ['public.child.card', 'public.customers.email', 'public.customers.Note'],
}

let postgres: TestPostgres
let query: CatalogQuery
before(async () => {
  postgres = await startPostgres()
  await postgres.query(SETUP)
  query = (sql) => postgres.query(sql)
})
after(() => postgres[Symbol.asyncDispose]())

describe('readCatalog', () => {
  it('knows relations of every kind and schema', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    const kinds = ['customers', 'seen', 'kept', 'counter', 'customers_pkey', 'pair', 'events', 'events_1_1'].map(
      (name) => {
        return find(catalog, `public.${name}`).kind
      },
    )
    assert.deepEqual(kinds, [
      'table',
      'view',
      'materialized-view',
      'sequence',
      'index',
      'composite-type',
      'table',
      'table',
    ])
    assert.equal(find(catalog, 'pg_catalog.pg_stats').kind, 'view')
    assert.equal(find(catalog, 'information_schema.columns').kind, 'view')
  })

  it("knows the target's functions for large objects by OID, but none that is something else by now", async () => {
    const known = async (): Promise<readonly string[]> => {
      const { largeObjects } = await readCatalog(query, SENSITIVE)
      return [...largeObjects!].map(([oid, name]) => `${oid} ${name}`)
    }
    const given = await known()
    for (const line of ['952 lo_open', '954 loread', '955 lowrite', '957 lo_creat', '964 lo_unlink', '3170 lo_lseek64'])
      assert.ok(given.includes(line), line)
    const name = 'pg_catalog.lo_unlink(oid)'
    await postgres.query(`CREATE OR REPLACE FUNCTION ${name} RETURNS integer LANGUAGE sql AS 'SELECT 1'`)
    assert.deepEqual(
      await known(),
      given.filter((line) => line !== '964 lo_unlink'),
    )
  })

  it('numbers columns as the server does and leaves dropped ones out', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    assert.deepEqual(find(catalog, 'public.customers').columns, [
      { name: 'id', number: 1, classes: [], type: 'integer', unique: true },
      { name: 'email', number: 3, classes: ['card', 'pii'], type: 'text', standIn: 'NULL::pg_catalog.text' },
      { name: 'note', number: 4, classes: [], type: 'text' },
    ])
  })

  it('says which entries protect nothing', async () => {
    const { missing } = await readCatalog(query, SENSITIVE)
    assert.deepEqual(missing, ['public.nothing.here', 'public.customers.Note'])
  })

  it('follows a view to what it reads, one step at a time', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    assert.deepEqual(reads(catalog, 'public.seen'), ['public.customers', 'public.plain'])
    assert.deepEqual(reads(catalog, 'public.seen_again'), ['public.seen'])
    assert.deepEqual(reads(catalog, 'public.kept'), ['public.customers'])
    assert.deepEqual(reads(catalog, 'public.statistics'), ['pg_catalog.pg_stats'])
    assert.ok(reads(catalog, 'pg_catalog.pg_stats').includes('pg_catalog.pg_statistic'))
    assert.deepEqual(reads(catalog, 'public.logged'), ['public.customers'])
    assert.deepEqual(reads(catalog, 'public.customers'), [])
  })

  it('leaves the system out where it is asked to, and nothing else', async () => {
    const [whole, own] = [await readCatalog(query, {}), await readCatalog(query, {}, true)]
    const isOwn = ({ oid }: { readonly oid: number }): boolean => oid >= 16_384
    assert.deepEqual(own.catalog.relations, whole.catalog.relations.filter(isOwn))
    assert.ok(whole.catalog.relations.length > own.catalog.relations.length)
    assert.deepEqual(own.catalog.functions, whole.catalog.functions)
  })

  it('takes a database without anything of its own for what it is', async () => {
    await postgres.query('CREATE DATABASE bare')
    const bare: CatalogQuery = (sql) => postgres.query(sql, [], postgres.admin.replace(/\/postgres$/, '/bare'))
    assert.deepEqual((await readCatalog(bare, {}, true)).catalog.relations, [])
  })

  it('takes a view over a function or operator of somebody for a view of everything sensitive', async () => {
    const { catalog } = await readCatalog(query, { pii: ['public.customers.email'], card: ['public.child.card'] })
    const everything = ['public.child', 'public.customers']
    assert.deepEqual(reads(catalog, 'public.behind_a_function'), everything)
    assert.deepEqual(reads(catalog, 'public.behind_an_operator'), everything)
  })

  it('gives partitions the classes of their parent, whatever the order of their columns', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    assert.deepEqual(reads(catalog, 'public.events'), ['public.events_1'])
    assert.deepEqual(reads(catalog, 'public.events_1'), ['public.events_1_1'])
    assert.deepEqual(reads(catalog, 'public.parent'), ['public.child'])
    assert.deepEqual(find(catalog, 'public.events_1_1').columns, [
      { name: 'who', number: 1, classes: ['pii'], type: 'text', standIn: 'NULL::pg_catalog.text' },
      { name: 'id', number: 2, classes: [], type: 'integer' },
    ])
    assert.deepEqual(find(catalog, 'public.parent').columns, [{ name: 'id', number: 1, classes: [], type: 'integer' }])
  })

  it('says of which types columns are, under the domains that they have', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    const types = find(catalog, 'public.typed').columns.map((column) => column.type)
    assert.deepEqual(types, ['boolean', 'boolean', 'bigint', 'numeric', 'timestamp with time zone', 'text[]'])
  })

  it('says which columns a unique index or an exclusion compares, by whatever expression', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    const unique = find(catalog, 'public.compared').columns.flatMap(({ name, unique }) => (unique ? [name] : []))
    assert.deepEqual(unique, ['a', 'b', 'c', 'd'])
  })

  it('knows children, and who refers to a table', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    const named = (oids: readonly number[] | undefined) =>
      oids?.map((oid) => catalog.relations.find((each) => each.oid === oid)?.name)
    assert.deepEqual(named(find(catalog, 'public.parent').children), ['child'])
    assert.deepEqual(named(find(catalog, 'public.customers').referencedBy), ['typed'])
    assert.equal(find(catalog, 'public.plain').referencedBy, undefined)
  })

  it('is not led astray by names that look like its own notation', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    assert.deepEqual(reads(catalog, 'a.b.:relid 4712'), ['a.b.c"d'])
    assert.deepEqual(find(catalog, 'a.b.c"d').columns[0], {
      name: 'e',
      number: 1,
      classes: ['pii'],
      type: 'text',
      standIn: 'NULL::pg_catalog.text',
    })
  })

  it('knows whose a temporary relation is, and of no other', async () => {
    const client = new Client({ connectionString: postgres.admin })
    await client.connect()
    await client.query('CREATE TEMP TABLE passing (id int)')
    const { catalog } = await readCatalog(query, SENSITIVE)
    await client.end()
    assert.equal(catalog.relations.find(({ name }) => name === 'passing')?.owner, 'postgres')
    assert.equal(find(catalog, 'public.customers').owner, undefined)
  })

  it('lists functions and operators that are no built-ins and belong to no extension', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    assert.ok(catalog.functions.includes('public.peek'))
    assert.equal(
      catalog.functions.some((name) => name.startsWith('pg_catalog.')),
      false,
    )
    assert.deepEqual(catalog.operators, ['==='])
    assert.ok(!catalog.functions.includes('public.citext_eq'))
  })

  it('lists functions that are stable whichever of the name is called, and those that may return a set', async () => {
    const { catalog } = await readCatalog(query, SENSITIVE)
    const listed = (names: readonly string[] | undefined): readonly string[] =>
      (names ?? []).filter((name) => /^(steady|mixed|counted|peek|citext_eq|lower)$/.test(name))
    assert.deepEqual(listed(catalog.stableFunctions), ['citext_eq', 'steady'])
    assert.deepEqual(listed(catalog.setFunctions), ['counted', 'peek'])
  })

  it('has another version whenever its content is another, and the same otherwise', async () => {
    const version = async (sensitive = SENSITIVE): Promise<string> =>
      (await readCatalog(query, sensitive)).catalog.version
    const first = await version()
    assert.equal(await version(), first)
    assert.notEqual(await version({ ...SENSITIVE, pii: [] }), first)
    await postgres.query('ALTER TABLE plain RENAME COLUMN id TO other')
    const renamed = await version()
    assert.notEqual(renamed, first)
    await postgres.query('CREATE OR REPLACE VIEW seen AS SELECT note AS email FROM customers')
    assert.notEqual(await version(), renamed)
  })

  it('is a fault of the target when the answer is none', async () => {
    const answers: readonly CatalogQuery[] = [
      async () => [],
      async () => [{ catalog: { relations: null } }],
      async () => [{ catalog: { relations: [{ oid: 'x' }] } }],
      () => Promise.reject(new Error('gone')),
    ]
    for (const answer of answers) await assert.rejects(readCatalog(answer, {}), isTargetFault)
  })
})

describe('catalogSource', () => {
  it('reads once for all who ask, and again when it is old', async () => {
    const scene = makeSource()
    const [one, two] = await Promise.all([scene.source.get(), scene.source.get()])
    assert.equal(one, two)
    scene.pass(999)
    assert.equal(await scene.source.get(), one)
    assert.equal(scene.reads(), 1)
    scene.pass(1)
    assert.notEqual(await scene.source.get(), one)
    assert.equal(scene.reads(), 2)
  })

  it('renews by a read that began after the call, one for all who ask meanwhile', async () => {
    const scene = makeSource()
    const early = scene.source.get()
    const renewed = [scene.source.renew(), scene.source.renew(), Promise.resolve(scene.source.get())]
    assert.equal(scene.reads(), 1)
    assert.notEqual(await renewed[0], await early)
    assert.equal(new Set(await Promise.all(renewed)).size, 1)
    assert.equal(await scene.source.get(), await renewed[0])
    assert.equal(scene.reads(), 2)
    await scene.source.renew()
    assert.equal(scene.reads(), 3)
  })

  it('never serves what a renewal that was asked for has overtaken', async () => {
    const scene = makeSource()
    const early = scene.source.get()
    const renewal = scene.source.renew()
    const late = Promise.resolve(early).then(() => scene.source.get())
    assert.equal(await late, await renewal)
  })

  it('serves nothing after a failed read, and recovers with the target', async () => {
    const scene = makeSource()
    await scene.source.get()
    scene.break(true)
    await assert.rejects(scene.source.renew(), isTargetFault)
    await assert.rejects(async () => scene.source.get(), isTargetFault)
    const [failed, next] = [scene.source.get(), scene.source.renew()]
    scene.break(false)
    await assert.rejects(async () => failed, isTargetFault)
    assert.equal(await next, await scene.source.get())
  })
})

function isTargetFault(error: unknown): boolean {
  return error instanceof Fault && error.code === 'target'
}

function find(catalog: Catalog, name: string): CatalogRelation {
  const relation = catalog.relations.find((one) => `${one.schema}.${one.name}` === name)
  assert.ok(relation, name)
  return relation
}

function reads(catalog: Catalog, name: string): readonly string[] {
  const names = new Map(catalog.relations.map((one) => [one.oid, `${one.schema}.${one.name}`]))
  return find(catalog, name)
    .reads.map((oid) => names.get(oid) ?? `unknown ${oid}`)
    .toSorted()
}

type SourceScene = {
  readonly source: ReturnType<typeof catalogSource>
  reads(): number
  pass(ms: number): void
  break(broken: boolean): void
}

function makeSource(): SourceScene {
  let [count, now, broken] = [0, 0, false]
  const clock: Clock = { now: () => 0, monotonic: () => now, sleep: async () => {} }
  const moment = { server: '1', snapshot: '3:3:', oldest: '3', rows: [1] }
  const answer: CatalogQuery = async (sql) => {
    if (broken) throw new Error('the target is gone')
    if (sql.includes('AS since')) return [{ since: { ...moment, changed: 1 } }]
    count++
    const nothing = {
      relations: [],
      rules: null,
      moment,
      stable: null,
      sets: null,
      operators: null,
      largeObjects: null,
    }
    return [{ catalog: { ...nothing, functions: [`public.number_${count}`] } }]
  }
  return {
    source: catalogSource({ query: answer, sensitive: {}, clock, maxAgeMs: 1_000 }),
    reads: () => count,
    pass: (ms) => (now += ms),
    break: (state) => (broken = state),
  }
}
