import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne, touchesOf } from './fixtures.ts'

const SEEN = { hidden: [] }

/** What runs SQL from text, or reads relations, pages or files by what it is given; and the kind of its wall. */
const WALLED: Readonly<Record<string, string>> = {
  "query_to_xml('TABLE visits', true, true, '')": 'code',
  "pg_catalog.query_to_xml_and_xmlschema('TABLE visits', true, true, '')": 'code',
  "query_to_xmlschema('TABLE visits', true, true, '')": 'code',
  "table_to_xml('visits', true, true, '')": 'code',
  "table_to_xml_and_xmlschema($1, true, true, '')": 'code',
  "schema_to_xml('public', true, true, '')": 'code',
  "database_to_xml(true, true, '')": 'code',
  "cursor_to_xml('c', 1, true, true, '')": 'code',
  "ts_stat('SELECT notes FROM visits')": 'code',
  "ts_rewrite('a'::tsquery, 'SELECT t, s FROM visits')": 'code',
  "currtid2('visits', '(0,1)')": 'catalog',
  "pg_get_sequence_data('ticket')": 'catalog',
  "pg_logical_slot_get_changes('s', NULL, NULL)": 'catalog',
  "pg_logical_slot_peek_binary_changes('s', NULL, NULL)": 'catalog',
  'pg_mcv_list_items(NULL)': 'catalog',
  'pg_stat_get_activity(NULL)': 'catalog',
  "binary_upgrade_set_missing_value('visits', 'cost', '{1}')": 'catalog',
  "brin_summarize_new_values('visits')": 'catalog',
  "gin_clean_pending_list('visits')": 'catalog',
  "pg_clear_relation_stats('public', 'visits')": 'catalog',
  "pg_read_file('/etc/passwd')": 'file',
  "pg_read_binary_file('base/1/2')": 'file',
  "pg_ls_dir('.')": 'file',
  "pg_stat_file('x')": 'file',
  "dblink('host=x', 'SELECT 1')": 'code',
  "archive.dblink_exec('x', 'DELETE FROM visits')": 'code',
  "crosstab('SELECT 1')": 'code',
  "connectby('visits', 'id', 'patient_id', '1', 0)": 'code',
  "xpath_table('id', 'x', 'visits', '/', 'true')": 'code',
  "get_raw_page('visits', 0)": 'code',
  "pgstattuple('visits')": 'code',
  "pg_prewarm('visits')": 'code',
  "verify_heapam('visits')": 'code',
  "bt_index_check('visits_pkey')": 'code',
  "pgrowlocks('visits')": 'code',
  "nextval('tic' || 'ket')": 'names',
  'nextval($1)': 'names',
  'nextval(10)': 'names',
  "setval('a.b.c', 1)": 'names',
  "setval(pg_get_serial_sequence('vis' || 'its', 'id'), 1)": 'names',
  'pg_sequence_last_value(c.oid)': 'names',
}

describe('a function that reaches what its statement does not name', () => {
  for (const [call, kind] of Object.entries(WALLED)) {
    const text = `SELECT ${call} FROM archive.visits c`
    it(`${call} stands behind a wall, whatever is hidden`, () => {
      assert.equal(readOne(text, SEEN).objection?.code, 'denied')
      const touches = touchesOf(text, { ...SEEN, open: true })
      assert.ok(touches.includes(`sql.privileged clinic /kind=${kind}`), touches.join('\n'))
    })
  }

  it('is told by its name also where it stands in FROM, as an attribute or in a definition', () => {
    for (const text of [
      "SELECT * FROM ts_stat('SELECT 1')",
      'SELECT (v.day).query_to_xml FROM visits v',
      "CREATE TABLE t (a xml DEFAULT query_to_xml('TABLE visits', true, true, ''))",
      "CREATE VIEW w AS SELECT * FROM pg_ls_dir('.')",
      "DELETE FROM visits WHERE id = 1 RETURNING query_to_xml('TABLE bills', true, true, '')",
      "PREPARE p AS SELECT query_to_xml($1, true, true, '')",
    ])
      assert.equal(readOne(text, SEEN).objection?.code, 'denied', text)
  })
})

describe('a function of a sequence', () => {
  const reached: readonly (readonly [call: string, touch: string])[] = [
    ["nextval('ticket')", 'sql.update clinic/public.ticket'],
    ["nextval('ticket'::regclass)", 'sql.update clinic/public.ticket'],
    ["pg_catalog.nextval('public.TICKET'::text)", 'sql.update clinic/public.ticket'],
    [`setval('"archive" . "Tic""ket"', 5, false)`, 'sql.update clinic/archive.Tic"ket'],
    ["setval(pg_get_serial_sequence('visits', 'id'), 5)", 'sql.update clinic/public.visits'],
    ["pg_sequence_last_value('ticket')", 'sql.select clinic/public.ticket'],
  ]
  for (const [call, touch] of reached)
    it(`${call} touches it`, () => assert.ok(touchesOf(`SELECT ${call}`, SEEN).includes(touch)))
})

describe('a function that is a statement in another form', () => {
  it('is decided as the statement, too', () => {
    assert.ok(touchesOf("SELECT pg_notify('news', 'x')").includes('sql.notify clinic /channel=news'))
    assert.ok(touchesOf('SELECT pg_notify($1, $2)').includes('sql.notify clinic /channel=*'))
    assert.ok(
      touchesOf("SELECT set_config('TimeZone', 'UTC', false)").includes('sql.set clinic /name=timezone /value=UTC'),
    )
    assert.ok(
      touchesOf("SELECT set_config('role', 'none', true)", { ...SEEN, open: true }).includes(
        'sql.set_role clinic /name=role /value=none',
      ),
    )
  })
})

describe('functions that reach nothing else', () => {
  for (const call of [
    'current_query()',
    "ts_rewrite('a'::tsquery, 'a'::tsquery, 'b'::tsquery)",
    "currval('ticket')",
    'pg_sleep(0)',
    'uuid_generate_v4()',
    "pg_stat_get_xact_tuples_inserted('visits'::regclass)",
    "pg_relation_size('visits')",
  ])
    it(`${call} is left to policy`, () => assert.equal(readOne(`SELECT ${call}`, SEEN).objection, undefined))
})
