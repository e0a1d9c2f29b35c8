import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readAt, readOne, touchesOf } from './fixtures.ts'

const open = { hidden: [] }

describe('names of relations', () => {
  it('follow the search path', () => {
    assert.deepEqual(touchesOf('TABLE visits', { ...open, searchPath: ['archive', 'public'] }), [
      'sql.select clinic/archive.visits',
    ])
  })

  it('count in every schema when the path is not known', () => {
    const touches = touchesOf('DELETE FROM visits', { ...open, searchPath: undefined })
    assert.deepEqual(touches, [
      'sql.delete clinic/public.visits unbounded',
      'sql.delete clinic/archive.visits unbounded',
    ])
  })

  it('count in every schema behind a change of the path in the same text', () => {
    const [, second] = readAt('SET search_path = archive; TABLE visits', open)
    assert.equal(second!.touches.length, 2)
  })

  it('are case-sensitive when quoted', () => {
    assert.deepEqual(touchesOf('TABLE "Visits"', open), ['sql.select clinic/public.Visits'])
    assert.deepEqual(touchesOf('TABLE VISITS', open), ['sql.select clinic/public.visits'])
  })

  it('that are not known go to the first schema of the path', () => {
    assert.deepEqual(touchesOf('TABLE nothing', { ...open, searchPath: ['$user', 'archive'] }), [
      'sql.select clinic/archive.nothing',
    ])
  })

  it('mean the system before anything else, unless the path says otherwise', () => {
    assert.deepEqual(touchesOf('TABLE pg_class', { ...open, searchPath: ['archive'] }), [
      'sql.select clinic/pg_catalog.pg_class',
    ])
    const path = ['archive', 'pg_catalog']
    assert.deepEqual(touchesOf('TABLE pg_class', { ...open, searchPath: path }), ['sql.select clinic/archive.pg_class'])
  })

  it('may be those of a temporary table', () => {
    assert.deepEqual(touchesOf('TABLE scratch', open), ['sql.select clinic/pg_temp_3.scratch'])
    assert.deepEqual(touchesOf('TABLE pg_temp.scratch', open), ['sql.select clinic/pg_temp_3.scratch'])
  })

  it("are not those of a temporary table that is another session's", () => {
    const own = (temporary: readonly string[]) => touchesOf('TABLE scratch', { ...open, temporary })
    assert.deepEqual(own(['pg_temp_3']), ['sql.select clinic/pg_temp_3.scratch'])
    assert.deepEqual(own(['pg_temp_4']), ['sql.select clinic/public.scratch'])
  })

  it('mean a WITH item first, but not in its own query, and never with a schema', () => {
    assert.deepEqual(touchesOf('WITH visits AS (SELECT 1) TABLE visits', open), ['sql.select clinic'])
    assert.deepEqual(touchesOf('WITH visits AS (TABLE visits) TABLE visits', open), ['sql.select clinic/public.visits'])
    assert.deepEqual(touchesOf('WITH visits AS (SELECT 1) TABLE public.visits', open), [
      'sql.select clinic/public.visits',
    ])
    assert.deepEqual(touchesOf('WITH RECURSIVE visits AS (SELECT 1 UNION TABLE visits) TABLE visits', open), [
      'sql.select clinic',
    ])
    assert.deepEqual(touchesOf('WITH visits AS (SELECT 1) DELETE FROM visits', open), [
      'sql.delete clinic/public.visits unbounded',
    ])
    assert.deepEqual(touchesOf('SELECT 1 FROM (WITH visits AS (SELECT 1) TABLE visits) q, visits', open), [
      'sql.select clinic/public.visits',
    ])
  })

  it('of views count for the tables behind them as well', () => {
    assert.deepEqual(touchesOf('TABLE mailing', open), [
      'sql.select clinic/public.mailing',
      'sql.select clinic/public.patients',
    ])
    assert.deepEqual(touchesOf('DELETE FROM mailing WHERE id = 1', open), [
      'sql.delete clinic/public.mailing',
      'sql.delete clinic/public.patients',
    ])
  })

  for (const hiding of [
    'SELECT (SELECT max(id) FROM visits)',
    'SELECT 1 WHERE EXISTS (SELECT FROM visits)',
    'SELECT 1 ORDER BY (SELECT id FROM visits LIMIT 1)',
    'SELECT 1 LIMIT (SELECT id FROM visits)',
    'SELECT count(*) FILTER (WHERE 1 IN (TABLE visits)) FROM archive.visits',
    'SELECT sum(id) OVER (PARTITION BY (SELECT id FROM visits)) FROM archive.visits',
    'VALUES ((SELECT id FROM visits))',
    'SELECT 1 FROM generate_series(1, (SELECT id FROM visits))',
    'SELECT 1 FROM archive.visits TABLESAMPLE system ((SELECT id FROM visits))',
    'SELECT 1 FROM archive.visits a JOIN archive.visits b ON a.id IN (SELECT id FROM visits)',
    'INSERT INTO archive.visits SELECT id FROM visits',
    'INSERT INTO archive.visits VALUES ((SELECT id FROM visits))',
    'INSERT INTO archive.visits VALUES (1) ON CONFLICT (id) DO UPDATE SET cost = (SELECT id FROM visits)',
    'UPDATE archive.visits SET (id, cost) = (SELECT id, cost FROM visits)',
    'DELETE FROM archive.visits RETURNING (SELECT id FROM visits)',
    'SELECT JSON_ARRAY(SELECT id FROM visits)',
    'SELECT xmlelement(name a, (SELECT id FROM visits))',
    'CREATE INDEX ON archive.visits ((id + (SELECT id FROM visits)))',
    'EXECUTE p((SELECT id FROM visits))',
    'CREATE TABLE t (id int REFERENCES visits)',
    'CREATE TABLE t (LIKE visits)',
    'CREATE TABLE t () INHERITS (visits)',
    'CALL f((SELECT id FROM visits))',
  ]) {
    it(`are found in ${hiding}`, () => {
      const touched = readOne(hiding, open).touches.map((each) => `${each.action} ${each.resource.id}`)
      assert.ok(touched.includes('sql.select clinic/public.visits'), touched.join())
    })
  }

  for (const write of [
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    "UPDATE pg_catalog.pg_settings s SET setting = 'x' WHERE s.name = 'search_path'",
    "WITH u AS (UPDATE pg_settings SET setting = 'off') SELECT 1",
    "EXPLAIN ANALYZE UPDATE pg_settings SET setting = 'off'",
    "PREPARE p AS UPDATE pg_settings SET setting = 'off'",
    "MERGE INTO pg_settings s USING visits v ON v.id = 1 WHEN MATCHED THEN UPDATE SET setting = 'off'",
    'INSERT INTO pg_class DEFAULT VALUES',
    'DELETE FROM pg_proc WHERE oid = 1',
    'TRUNCATE pg_catalog.pg_attribute',
    'COPY pg_class FROM STDIN',
    'DELETE FROM information_schema.sql_features WHERE true',
    'DROP TABLE pg_catalog.pg_class',
    'ALTER TABLE pg_class RENAME TO x',
    'ALTER FUNCTION purge() SET SCHEMA pg_catalog',
    'CREATE TABLE pg_catalog.visits (id int)',
    'ALTER TABLE visits SET SCHEMA pg_toast',
  ]) {
    it(`of the system may not be written to: ${write}`, () => {
      assert.equal(readOne(write, open).objection?.code, 'denied')
      assert.equal(readOne(write, { ...open, searchPath: undefined }).objection === undefined, false)
    })
  }

  for (const relation of [
    'pg_stats',
    'pg_authid',
    'pg_stat_activity',
    'public.pg_stat_statements',
    'pg_toast.pg_toast_1',
    'sampled',
  ]) {
    it(`of ${relation} are refused, for what it shows`, () => {
      assert.equal(readOne(`SELECT 1 FROM ${relation}`, open).objection?.code, 'denied')
    })
  }
})

describe('calls', () => {
  const calls = (text: string) => touchesOf(text, open).filter((each) => each.startsWith('sql.call'))

  it('of harmless built-ins are none', () => {
    const text = `SELECT count(*), upper('x'), now(), pg_catalog.pg_get_viewdef(1), extract(year from now()), format_type(1, 2),
      current_schema(), md5('x'), coalesce(1, 2), array_to_string('{1}'::int[], ','), string_agg('a', 'b'), lower(int4range(1, 2))::int`
    assert.deepEqual(calls(text.replace('lower(', 'pg_catalog.lower(')), [])
  })

  for (const [text, name] of [
    ['SELECT purge()', 'purge'],
    ['SELECT public.upper(1)', 'public.upper'],
    ["SELECT lower('X')", 'lower'],
    ["SELECT nextval('ticket')", 'nextval'],
    ['SELECT pg_sleep(1)', 'pg_sleep'],
    ["SELECT query_to_xml('SELECT 1', true, true, '')", 'query_to_xml'],
    ["SELECT pg_read_file('x')", 'pg_read_file'],
    ['SELECT v.purge FROM visits v', 'purge'],
    ['SELECT (v).purge FROM visits v', 'purge'],
    ['SELECT g.pg_sleep FROM generate_series(0, 0) g', 'pg_sleep'],
    ['SELECT * FROM ROWS FROM (purge(), generate_series(1, 2))', 'purge'],
    ['SELECT 1 FROM visits ORDER BY purge()', 'purge'],
    ['CALL archive.tidy()', 'archive.tidy'],
    ['EXPLAIN SELECT purge()', 'purge'],
  ] as const) {
    it(`are found in ${text}`, () => assert.deepEqual(calls(text), [`sql.call clinic /function=${name}`]))
  }

  it('of operators outside pg_catalog are calls', () => {
    assert.deepEqual(calls("SELECT 'a' <-> 'b'"), ['sql.call clinic /operator=<->'])
    assert.deepEqual(calls('SELECT 1 OPERATOR(archive.+) 2'), ['sql.call clinic /operator=archive.+'])
    assert.deepEqual(calls('SELECT 1 FROM visits ORDER BY id USING OPERATOR(archive.<)'), [
      'sql.call clinic /operator=archive.<',
    ])
    assert.deepEqual(calls('SELECT 1 OPERATOR(pg_catalog.+) 2'), [])
  })

  it('may change the search path when nobody knows what they do', () => {
    assert.equal(readOne('SELECT purge()', open).changesSearchPath, true)
    assert.equal(readOne("SELECT set_config('search_path', 'x', false)", open).changesSearchPath, true)
    assert.equal(readOne('SELECT upper(1)', open).changesSearchPath, false)
  })
})
