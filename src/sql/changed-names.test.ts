import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readAt, readOne, touchesOf } from './fixtures.ts'

const open = { hidden: [] }

function lastOf(text: string, request = {}): ReturnType<typeof readOne> {
  return readAt(text, { ...open, ...request }).at(-1)!
}

function touchedBy(text: string, request = {}): readonly string[] {
  return lastOf(text, request).touches.map((each) => `${each.action} ${each.resource.id}`)
}

describe('a name that an earlier statement of the text has changed', () => {
  for (const text of [
    'ALTER TABLE visits RENAME TO v9; SELECT * FROM v9',
    'ALTER TABLE visits RENAME TO v9; ALTER TABLE bills RENAME TO visits; DELETE FROM visits WHERE id = 1',
    'ALTER TABLE visits RENAME TO v9; ALTER TABLE v9 SET SCHEMA archive',
    'ALTER TABLE visits RENAME TO v9; DROP TABLE v9',
    'ALTER TABLE archive.payments SET SCHEMA public; SELECT * FROM payments',
    'ALTER TABLE archive.payments SET SCHEMA public; GRANT SELECT ON public.payments TO x',
    'ALTER SCHEMA archive RENAME TO a2; SELECT * FROM a2.payments',
    'ALTER SCHEMA archive RENAME TO a2; DROP SCHEMA a2 CASCADE',
    'ALTER SCHEMA archive RENAME TO a2; GRANT SELECT ON ALL TABLES IN SCHEMA a2 TO x',
    'ALTER SCHEMA public RENAME TO p2; ALTER SCHEMA archive RENAME TO public',
    'ALTER SCHEMA public RENAME TO p2; PREPARE p AS SELECT * FROM visits',
    'ALTER EXTENSION x SET SCHEMA archive; SELECT 1 FROM visits',
    'DROP OWNED BY x; DELETE FROM visits WHERE id = 1',
    'CREATE VIEW v AS TABLE visits; DELETE FROM v WHERE id = 1',
    'CREATE TEMP VIEW v AS TABLE visits; TRUNCATE v',
    'CREATE TABLE t (id int) PARTITION BY LIST (id); ALTER TABLE t ATTACH PARTITION visits DEFAULT; DELETE FROM t WHERE id = 1',
    'CREATE TABLE t (id int); ALTER TABLE visits INHERIT t; SELECT * FROM t',
    'ALTER TABLE visits RENAME TO v9; EXECUTE p',
    'DROP TABLE archive.visits; EXECUTE p',
    'ALTER TABLE visits RENAME TO v9; CREATE TABLE t AS EXECUTE p',
    'BEGIN; ALTER TABLE visits RENAME TO v9; SELECT 1 FROM (SELECT * FROM v9) q',
  ]) {
    it(`is refused in: ${text}`, () => assert.equal(lastOf(text).objection?.code, 'denied'))
  }

  it('is explained, with what to do', () => {
    const { objection } = lastOf('ALTER TABLE visits RENAME TO v9; SELECT * FROM v9')
    assert.equal(
      objection?.message,
      "What v9 means has been changed in a transaction that is still open: this one, or another session's.",
    )
    assert.match(JSON.stringify(objection?.remedy), /on its own and outside of a transaction/)
  })

  for (const text of [
    'CREATE TABLE t (id int); INSERT INTO t VALUES (1); SELECT * FROM t',
    'DROP TABLE IF EXISTS visits; CREATE TABLE visits (id int); INSERT INTO visits VALUES (1)',
    'CREATE SCHEMA s; CREATE TABLE s.t (id int); INSERT INTO s.t VALUES (1)',
    'SELECT 1 AS id INTO t; SELECT * FROM t',
    'CREATE TABLE t (id int); CREATE INDEX ON t (id); EXECUTE p',
    'CREATE VIEW v AS TABLE visits; GRANT SELECT ON v TO x; DROP VIEW v',
    'ALTER TABLE visits RENAME TO v9; SELECT * FROM bills',
    'ALTER TABLE visits RENAME day TO date; SELECT * FROM visits',
    'ALTER TABLE visits ADD x int; UPDATE visits SET x = 1 WHERE id = 1',
    'ALTER SCHEMA archive RENAME TO a2; SELECT relname FROM pg_class',
    'ALTER TABLE visits RENAME TO v9; WITH v9 AS (SELECT 1) TABLE v9',
  ]) {
    it(`is no matter in: ${text}`, () => {
      assert.deepEqual(
        readAt(text, open).flatMap((each) => each.objection ?? []),
        [],
      )
    })
  }

  it('counts in every schema when what had it was dropped', () => {
    const path = { searchPath: ['archive', 'public'] }
    assert.deepEqual(touchedBy('DROP TABLE archive.visits; DELETE FROM visits WHERE id = 1', path), [
      'sql.delete clinic/public.visits',
      'sql.delete clinic/archive.visits',
    ])
    assert.equal(touchedBy('DROP SCHEMA archive CASCADE; TABLE visits', path).length, 2)
    assert.deepEqual(touchedBy('CREATE TABLE archive.bills (id int); TABLE bills', path), [
      'sql.select clinic/public.bills',
      'sql.select clinic/archive.bills',
    ])
  })

  it('is not the built-in function any more', () => {
    const calls = (text: string) => touchedBy(text).filter((each) => each.startsWith('sql.call'))
    assert.deepEqual(calls('ALTER FUNCTION purge() RENAME TO upper; SELECT upper(1)'), ['sql.call clinic'])
    assert.deepEqual(calls('ALTER AGGREGATE ext.max(int) SET SCHEMA public; SELECT max(1)'), ['sql.call clinic'])
    assert.deepEqual(calls('ALTER OPERATOR ext.+ (int, int) SET SCHEMA public; SELECT 1 + 1'), ['sql.call clinic'])
    assert.deepEqual(calls('ALTER FUNCTION purge() RENAME TO other; SELECT upper(1)'), [])
  })

  it('was changed by a text before when the caller says so', () => {
    const { nameChanges } = lastOf('ALTER TABLE visits RENAME TO v9')
    assert.equal(readOne('SELECT * FROM v9', { ...open, changed: nameChanges }).objection?.code, 'denied')
    assert.equal(readOne('SELECT * FROM bills', { ...open, changed: nameChanges }).objection, undefined)
  })
})

describe('a statement that changes names', () => {
  for (const text of [
    'ALTER TABLE visits RENAME TO v9',
    'ALTER TABLE visits SET SCHEMA archive',
    'ALTER SCHEMA archive RENAME TO a2',
    'ALTER FUNCTION purge() RENAME TO upper',
    'ALTER EXTENSION x SET SCHEMA archive',
    'CREATE SCHEMA s',
    'CREATE TABLE t ()',
    'CREATE VIEW v AS SELECT 1',
    'CREATE TABLE t AS SELECT 1',
    'SELECT 1 INTO t',
    'EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1',
    'DROP TABLE visits',
    'DROP FUNCTION purge()',
    'DROP OWNED BY x',
  ]) {
    it(`is ${text}`, () => assert.equal(readOne(text, open).changesNames, true))
  }
  it('is one of columns where any are hidden', () => {
    const text = 'ALTER TABLE visits ADD x int'
    assert.deepEqual([readOne(text).changesNames, readOne(text, open).changesNames], [true, false])
  })
  for (const text of ['SELECT 1', 'DELETE FROM visits', 'BEGIN', "COMMENT ON TABLE visits IS ''"]) {
    it(`is not ${text}`, () => assert.equal(readOne(text, open).changesNames, false))
  }
})

describe('what is renamed, emptied or dropped with something else', () => {
  it('is every relation of a schema', () => {
    const relations = ['visits', 'pg_class', 'payments'].map((name) => `clinic/archive.${name}`)
    assert.deepEqual(
      touchesOf('ALTER SCHEMA archive RENAME TO a2', open),
      ['clinic/archive', ...relations].map((each) => `sql.alter ${each} /kind=schema`),
    )
    assert.deepEqual(
      touchesOf('DROP SCHEMA archive CASCADE', open),
      ['clinic/archive', ...relations].map((each) => `sql.drop ${each} /kind=schema /cascade=true`),
    )
  })

  it('is every table that refers to a truncated one, by CASCADE only', () => {
    assert.deepEqual(touchesOf('TRUNCATE visits CASCADE', open), [
      'sql.truncate clinic/public.visits unbounded',
      'sql.truncate clinic/public.bills unbounded',
      'sql.truncate clinic/archive.payments unbounded',
    ])
    assert.deepEqual(touchesOf('TRUNCATE visits', open), ['sql.truncate clinic/public.visits unbounded'])
  })

  it('is every child of a truncated table, but for ONLY', () => {
    const both = ['sql.truncate clinic/public.people unbounded', 'sql.truncate clinic/public.staff unbounded']
    assert.deepEqual(touchesOf('TRUNCATE people', open), both)
    assert.deepEqual(touchesOf('TRUNCATE ONLY people', open), both.slice(0, 1))
  })

  it('is what depends on a dropped table', () => {
    const more = '/kind=table /cascade=true'
    assert.deepEqual(touchesOf('DROP TABLE visits CASCADE', open), [
      `sql.drop clinic/public.visits ${more}`,
      'sql.drop clinic/public.busy_days /kind=view /cascade=true',
      'sql.alter clinic/public.bills /kind=constraint /cascade=true',
    ])
    assert.deepEqual(touchesOf('DROP TABLE people', open), [
      'sql.drop clinic/public.people /kind=table',
      'sql.drop clinic/public.staff /kind=table',
    ])
    assert.deepEqual(touchesOf('ALTER TABLE visits DROP COLUMN day CASCADE', open).slice(0, 2), [
      'sql.drop clinic/public.busy_days /kind=view /cascade=true',
      'sql.alter clinic/public.bills /kind=constraint /cascade=true',
    ])
  })

  it('is anything at the target when a type or function goes with CASCADE', () => {
    assert.deepEqual(touchesOf('DROP TYPE archive.kind CASCADE', open), [
      'sql.drop clinic/archive /kind=type /cascade=true',
      'sql.drop clinic /kind=type /cascade=true',
    ])
  })
})
