import { after, before, describe } from 'node:test'
import type { Scene } from '../scene.ts'
import { attacks, startRange } from './attack.ts'

/** Nothing is masked here: what keeps anybody from the vault, and from what is kept, is a `forbid` by name. */
let scene: Scene
before(async () => {
  scene = await startRange({ target: { sensitive: {} } })
  await scene.truth(`CREATE EXTENSION tablefunc; CREATE EXTENSION pageinspect; CREATE SEQUENCE kept_ids;
    CREATE INDEX kept_by_base ON kept (base);
    CREATE TABLE crowd (id int, note text, base int, mood mood) PARTITION BY LIST (id); ALTER TABLE crowd OWNER TO orders_owner`)
})
after(() => scene?.[Symbol.asyncDispose]())

describe('a forbid on a table is not evaded by a function that reads by name or text', () => {
  const calls = [
    "query_to_xml('TABLE vault', true, false, '')",
    "query_to_xml_and_xmlschema('SELECT code FROM public.vault', true, false, '')",
    "table_to_xml('vault', true, false, '')",
    "table_to_xml_and_xmlschema('vault'::regclass, true, false, '')",
    "schema_to_xml('public', true, false, '')",
    "database_to_xml(true, false, '')",
    "ts_stat('SELECT to_tsvector(code) FROM vault')",
    "ts_rewrite('1'::tsquery, 'SELECT ''1''::tsquery, to_tsquery(code) FROM vault')",
    "currtid2('vault', '(0,1)')",
    "pg_read_file('PG_VERSION')",
    "pg_ls_dir('.')",
    "crosstab('SELECT code, code, code FROM vault')",
    "connectby('vault', 'code', 'code', 'zqcopper', 0)",
    "get_raw_page('vault', 0)",
    "pg_get_sequence_data('kept_ids')",
    "nextval('kept_' || 'ids')",
    'nextval(oid) FROM pg_class',
  ]
  attacks(
    () => scene,
    calls.map((call) => ({ title: call, steps: [`SELECT ${call}`], code: '42501' })),
    { oneSession: true },
  )
  attacks(
    () => scene,
    [
      { title: 'as a table', steps: ["SELECT * FROM ts_stat('SELECT to_tsvector(code) FROM vault')"], code: '42501' },
      {
        title: 'of a cursor',
        steps: ['BEGIN', "DECLARE c CURSOR FOR SELECT query_to_xml('TABLE vault', true, false, '')", 'FETCH c'],
        code: '42501',
      },
      {
        title: 'in a view',
        steps: ["CREATE VIEW w AS SELECT query_to_xml('TABLE vault', true, false, '') AS x", 'SELECT x FROM w'],
        code: '42501',
      },
    ],
  )
})

describe('a forbid on a table is not evaded by what reaches it from another one', () => {
  const texts = [
    'ALTER TABLE crowd ATTACH PARTITION kept FOR VALUES IN (1)',
    'ALTER TABLE kept NO INHERIT above',
    'CREATE TABLE brood_of () INHERITS (kept)',
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC',
    'DROP TYPE mood CASCADE',
    'REASSIGN OWNED BY orders_owner TO CURRENT_USER',
    'CREATE ROLE aside LOGIN PASSWORD $$x$$',
    'DROP POLICY p ON kept',
  ]
  attacks(
    () => scene,
    texts.map((text) => ({ title: text, steps: ['BEGIN', text], code: '42501' })),
    { oneSession: true },
  )

  const hole = 'an index is a relation of its own: its table is not touched'
  attacks(
    () => scene,
    ['DROP INDEX kept_by_base', 'ALTER INDEX kept_by_base RENAME TO x'].map((text) => ({
      title: text,
      steps: ['BEGIN', text],
      code: '42501',
      hole,
    })),
    { oneSession: true },
  )
})
