import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne, touchesOf } from './fixtures.ts'

const open = { hidden: [] }
const PATIENTS = 'clinic/public.patients'
const VISITS = 'clinic/public.visits'

describe('COPY', () => {
  for (const [text, ...touches] of [
    ['COPY visits TO STDOUT', `sql.select ${VISITS}`],
    ['COPY visits (id, cost) TO STDOUT CSV HEADER', `sql.select ${VISITS}`],
    ['COPY visits TO STDIN', `sql.select ${VISITS}`],
    ['COPY (SELECT id FROM visits) TO STDOUT', `sql.select ${VISITS}`],
    ['COPY (SELECT 1) TO STDOUT', 'sql.select clinic'],
    ['COPY (DELETE FROM visits RETURNING id) TO STDOUT', `sql.delete ${VISITS} unbounded`, `sql.select ${VISITS}`],
    ['COPY visits FROM STDIN', `sql.insert ${VISITS} unbounded`],
    ['COPY patients (mail) FROM STDIN BINARY', `sql.insert ${PATIENTS} unbounded`],
    ['COPY patients (id, name) TO STDOUT', `sql.select ${PATIENTS}`],
    ['COPY (SELECT id, upper(name) FROM patients) TO STDOUT', `sql.select ${PATIENTS}`],
    ['COPY (SELECT count(*) FROM patients) TO STDOUT', `sql.select ${PATIENTS}`],
  ] as const) {
    it(`is read as what it reads or writes: ${text}`, () => {
      assert.deepEqual(touchesOf(text), touches)
      assert.equal(readOne(text).objection, undefined)
    })
  }

  it('of a query without a relation reads the target, whatever it calls', () => {
    const touches = ['sql.call clinic /function=purge', 'sql.select clinic']
    assert.deepEqual(touchesOf('COPY (SELECT purge()) TO STDOUT', open), touches)
  })

  it('takes effect when it writes, and only then', () => {
    const effects = [
      'COPY visits TO STDOUT',
      'COPY visits FROM STDIN',
      'COPY (DELETE FROM visits RETURNING 1) TO STDOUT',
    ]
    assert.deepEqual(
      effects.map((text) => readOne(text).effect),
      ['none', 'final', 'final'],
    )
  })

  it('says how its rows are written', () => {
    const csv = { direction: 'out', format: 'csv', delimiter: ',', quote: '"', escape: '"' }
    assert.deepEqual(readOne('COPY visits TO STDOUT').copy, { ...csv, format: 'text', delimiter: '\t' })
    assert.deepEqual(readOne('COPY visits TO STDOUT (FORMAT csv)').copy, csv)
    assert.deepEqual(readOne(`COPY visits TO STDOUT CSV DELIMITER ';' QUOTE '~'`).copy, {
      ...csv,
      delimiter: ';',
      quote: '~',
      escape: '~',
    })
    assert.equal(readOne(`COPY visits TO STDOUT (FORMAT 'csv', ESCAPE '!')`).copy?.escape, '!')
    assert.equal(readOne('COPY visits FROM STDIN (FORMAT binary)').copy?.format, 'binary')
    assert.equal(readOne('COPY visits TO STDOUT (DELIMITER 1)').copy?.delimiter, '1')
    assert.equal(readOne('SELECT 1').copy, undefined)
  })

  for (const text of [
    "COPY visits TO '/tmp/x'",
    "COPY visits FROM '/tmp/x'",
    "COPY visits TO PROGRAM 'x'",
    "COPY visits FROM PROGRAM 'x'",
    "COPY (SELECT 1) TO PROGRAM 'x'",
    "COPY visits TO STDOUT (ENCODING 'SJIS')",
    "COPY visits TO STDOUT (FORMAT 'parquet')",
    'COPY visits TO STDOUT (FORMAT)',
    'COPY pg_stats TO STDOUT',
    'COPY (SELECT * FROM pg_stats) TO STDOUT',
  ]) {
    it(`is refused whatever the policy says: ${text}`, () => {
      assert.equal(readOne(text, open).objection?.code, 'denied')
    })
  }

  for (const text of ["COPY visits TO STDOUT (ENCODING 'utf-8')", "COPY visits FROM STDIN (ENCODING 'LATIN1')"]) {
    it(`may be ${text}`, () => {
      assert.equal(readOne(text).objection, undefined)
    })
  }

  for (const text of [
    'COPY patients TO STDOUT',
    'COPY patients (id, mail) TO STDOUT',
    'COPY public.patients (born) TO STDOUT BINARY',
    'COPY (SELECT mail FROM patients) TO STDOUT',
    'COPY (SELECT * FROM patients) TO STDOUT',
    'COPY (TABLE patients) TO STDOUT',
    'COPY (SELECT c FROM patients c) TO STDOUT',
    'COPY (SELECT id FROM patients WHERE mail IS NULL) TO STDOUT',
    'COPY (VALUES ((SELECT mail FROM patients LIMIT 1))) TO STDOUT',
    'COPY (WITH p AS (SELECT mail FROM patients) SELECT * FROM p) TO STDOUT',
    "COPY (UPDATE patients SET name = '' WHERE id = 1 RETURNING mail) TO STDOUT",
    'COPY (INSERT INTO patients (id) VALUES (1) RETURNING *) TO STDOUT',
    'COPY mailing TO STDOUT',
    'COPY people TO STDOUT',
    'COPY remote TO STDOUT',
    'COPY sampled TO STDOUT',
  ]) {
    it(`reads no hidden column: ${text}`, () => {
      assert.equal(readOne(text).objection?.code, 'denied')
    })
  }

  it('names the columns that may be copied', () => {
    const { message, remedy } = readOne('COPY patients TO STDOUT').objection!
    assert.equal(message, 'patients.mail is masked for you, and COPY has no masks.')
    assert.deepEqual(remedy, [
      {
        do: 'change',
        hint: 'name the other columns, COPY public.patients (id, name, notes) TO STDOUT, or use SELECT, where it comes back masked',
      },
    ])
    const query = readOne('COPY (SELECT mail FROM patients) TO STDOUT').objection
    assert.equal(query?.message, 'The query reads columns that are masked for you, and COPY has no masks.')
  })

  it('is about columns that are hidden from this identity only', () => {
    assert.equal(readOne('COPY patients TO STDOUT', open).objection, undefined)
  })

  it('withholds texts of errors where it touches a relation with hidden columns', () => {
    assert.equal(readOne('COPY patients FROM STDIN').touchesHidden, true)
    assert.equal(readOne('COPY visits FROM STDIN').touchesHidden, false)
  })
})
