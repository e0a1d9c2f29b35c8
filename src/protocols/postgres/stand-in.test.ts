import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startPostgres } from '../../../test/postgres.ts'
import type { TestPostgres } from '../../../test/postgres.ts'
import type { CatalogColumn } from '../../sql/catalog.ts'
import { readCatalog } from './catalog.ts'
import { placeholderText, typesWithPlaceholder } from './placeholders.ts'

/** Types with modifiers, and what stands for them where they are never NULL. */
const MODIFIED = {
  'character varying(2)': '**',
  'character varying(20)': '***',
  'character(5)': '***',
  'numeric(2,2)': '0.00',
  'timestamp(3) with time zone': '1970-01-01 00:00:00+00',
  'time(0) without time zone': '00:00:00',
  'interval day to second(2)': '00:00:00',
  'interval year': '00:00:00',
  'character varying(3)[]': '{}',
  'numeric(9,2)[]': '{}',
}

/** Types of which no value stands for all. */
const OTHERS = [
  'point',
  'tsvector',
  'bit(3)',
  'bit varying(7)',
  'mood',
  'mood[]',
  'pair',
  'text',
  'public."Odd.Type"',
  'public.text',
]
const DOMAINS = { phone: 'character varying(12)', mobile: 'character varying(12)', feeling: 'public.mood' }

const SETUP = `
  CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b int); CREATE TYPE "Odd.Type" AS ENUM ('odd');
  CREATE TYPE public.text AS ENUM ('not text');
  CREATE DOMAIN phone AS varchar(12) NOT NULL CHECK (VALUE ~ '^[0-9+]+$'); CREATE DOMAIN mobile AS phone;
  CREATE DOMAIN feeling AS mood`

describe('what stands for a hidden column', () => {
  let postgres: TestPostgres
  let client: Client
  before(async () => {
    postgres = await startPostgres()
    client = new Client({ connectionString: postgres.admin, options: '-c search_path=pg_catalog -c timezone=UTC' })
    await client.connect()
    await client.query(`SET search_path = public; ${SETUP}; SET search_path = pg_catalog`)
  })
  after(async () => {
    await client.end()
    await postgres[Symbol.asyncDispose]()
  })

  /** Makes a table with a column of each type, all of them hidden; what the catalog says of these. */
  const columnsOf = async (table: string, types: readonly string[], more = ''): Promise<readonly CatalogColumn[]> => {
    const columns = types.map((type, i) => `c${i} ${type} ${more}`)
    await client.query(`SET search_path = pg_catalog, public; CREATE TABLE public.${table} (${columns.join(', ')})`)
    await client.query('SET search_path = pg_catalog')
    return read(table, { any: types.map((_, i) => `public.${table}.c${i}`) })
  }
  const read = async (
    table: string,
    sensitive: Readonly<Record<string, readonly string[]>>,
  ): Promise<readonly CatalogColumn[]> => {
    const { catalog, missing } = await readCatalog(async (sql) => (await client.query(sql)).rows, sensitive)
    assert.deepEqual(missing, [])
    return catalog.relations.find((each) => each.schema === 'public' && each.name === table)!.columns
  }

  /** As the target describes them to a client: [OID, modifier]; and one row of them as text. */
  const described = async (text: string): Promise<readonly (readonly [number, number])[]> =>
    (await client.query(text)).fields.map(({ dataTypeID, dataTypeModifier }) => [dataTypeID, dataTypeModifier])
  const isAsDescribed = async (table: string, columns: readonly CatalogColumn[]): Promise<void> => {
    const stands = `SELECT ${columns.map(({ standIn }) => standIn!).join(', ')}`
    // A planted type of the same name in front of everything must not be taken.
    const columnsAre = await described(`SELECT ${columns.map(({ name }) => name).join(', ')} FROM public.${table}`)
    for (const path of ['pg_catalog', 'public, pg_catalog', "''"])
      assert.deepEqual(await within(path, stands), columnsAre, path)
  }
  const within = async (path: string, text: string): Promise<readonly (readonly [number, number])[]> => {
    await client.query(`SET search_path = ${path}`)
    try {
      return await described(text)
    } finally {
      await client.query('SET search_path = pg_catalog')
    }
  }
  const valuesOf = async (columns: readonly CatalogColumn[]): Promise<readonly unknown[]> => {
    const texts = columns.map(({ standIn }) => `(${standIn})::pg_catalog.text`)
    return (await client.query<unknown[]>({ text: `SELECT ${texts.join(', ')}`, rowMode: 'array' })).rows[0] ?? []
  }

  it('is the placeholder of its type, for every type that has one, and of exactly that type', async () => {
    const { rows } = await client.query(
      `SELECT oid::int, format_type(oid, -1) AS name FROM pg_type
       WHERE oid = ANY ($1) AND typtype <> 'p' ORDER BY oid`,
      [typesWithPlaceholder()],
    )
    assert.ok(rows.length > 40)
    const columns = await columnsOf(
      'placed',
      rows.map(({ name }) => String(name)),
      'NOT NULL',
    )
    await isAsDescribed('placed', columns)
    const literals = rows.map(({ oid, name }) => `'${placeholderText(Number(oid))}'::${name}::pg_catalog.text`)
    const expected = await client.query({ text: `SELECT ${literals.join(', ')}`, rowMode: 'array' })
    assert.deepEqual(await valuesOf(columns), expected.rows[0])
    assert.ok(!rows.some(({ oid }) => /['\\]/.test(placeholderText(Number(oid))!)))
  })

  it('has the modifier of the column', async () => {
    const columns = await columnsOf('modified', Object.keys(MODIFIED), 'NOT NULL')
    await isAsDescribed('modified', columns)
    assert.deepEqual(await valuesOf(columns), Object.values(MODIFIED))
  })

  it('is NULL of its type where there may be NULL, or where no value stands for all', async () => {
    const nullable = await columnsOf('nullable', [...Object.keys(MODIFIED), ...OTHERS])
    await isAsDescribed('nullable', nullable)
    assert.ok((await valuesOf(nullable)).every((value) => value === null))
    const others = await columnsOf(
      'others',
      OTHERS.filter((type) => type !== 'text'),
      'NOT NULL',
    )
    await isAsDescribed('others', others)
    assert.ok((await valuesOf(others)).every((value) => value === null))
  })

  it('is NULL of the base type of a domain, through domains of domains', async () => {
    const columns = await columnsOf(
      'domains',
      Object.keys(DOMAINS).map((name) => `public.${name}`),
    )
    await isAsDescribed('domains', columns)
    assert.deepEqual(
      columns.map(({ standIn }) => standIn),
      Object.values(DOMAINS).map((type) => `NULL::${type}`),
    )
  })

  it('is there for columns of a class and of views that can be followed, and for no other', async () => {
    await client.query(`
      CREATE TABLE public.people (id int NOT NULL, email varchar(20) NOT NULL, note text);
      CREATE VIEW public.seen AS SELECT id, email FROM public.people`)
    const sensitive = { pii: ['public.people.email'] }
    const stands = async (name: string): Promise<readonly unknown[]> =>
      (await read(name, sensitive)).map(({ standIn }) => standIn)
    assert.deepEqual(await stands('people'), [undefined, "'***'::character varying(20)", undefined])
    assert.deepEqual(await stands('seen'), ['NULL::integer', 'NULL::character varying(20)'])
    assert.ok((await read('people', {})).every(({ standIn }) => standIn === undefined))
  })

  it('is not there for a pseudo-type, of which no value can be written', async () => {
    const { catalog } = await readCatalog(async (sql) => (await client.query(sql)).rows, {
      any: ['pg_catalog.pg_statistic.stavalues1'],
    })
    const columns = catalog.relations.find(({ name }) => name === 'pg_statistic')!.columns
    assert.equal(columns.find(({ name }) => name === 'stavalues1')!.standIn, undefined)
  })
})
