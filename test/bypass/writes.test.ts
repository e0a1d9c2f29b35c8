import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { bind, execute, parse, query, run, sync } from '../client-messages.ts'
import type { Scene } from '../scene.ts'
import { attacks, startRange, type Attack } from './attack.ts'

let free: Scene
let careful: Scene
before(async () => {
  const start = await readFile(join(import.meta.dirname, '../../examples/policies/start.cedar'), 'utf8')
  const held = '@hold("group:dba")\n@preview("rows")'
  if (!start.includes(held)) throw new Error('the start policies hold writes in other words')
  const policies = start.replace(held, '')
  ;[free, careful] = await Promise.all([startRange(), startRange({ policies })])
})
after(() => Promise.all([free, careful].map((scene) => scene?.[Symbol.asyncDispose]())))

describe('nothing writes to what names, rights and settings are made of', () => {
  const texts = [
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    "UPDATE pg_catalog.pg_settings SET setting = 'SJIS' WHERE name = 'client_encoding'",
    "WITH u AS (UPDATE pg_settings SET setting = 'off' WHERE name = 'row_security' RETURNING 1) SELECT * FROM u",
    "UPDATE pg_settings s SET setting = 'attic' FROM people p WHERE s.name = 'search_path' AND p.id = 1",
    "INSERT INTO pg_settings (name, setting) VALUES ('role', 'postgres')",
    "DELETE FROM pg_settings WHERE name = 'role'",
    "MERGE INTO pg_settings s USING decoy d ON s.name = 'role' WHEN MATCHED THEN UPDATE SET setting = 'x'",
    "PREPARE u AS UPDATE pg_settings SET setting = 'off' WHERE name = 'escape_string_warning'",
    "EXPLAIN ANALYZE UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    "DECLARE c CURSOR FOR UPDATE pg_settings SET setting = 'off'",
    "UPDATE pg_class SET relname = 'zz' WHERE relname = 'people'",
    "UPDATE pg_attribute SET attname = 'zz' WHERE attname = 'secret'",
    "INSERT INTO pg_authid (rolname) VALUES ('x')",
    'DELETE FROM pg_catalog.pg_rewrite WHERE true',
    'TRUNCATE pg_largeobject',
    "UPDATE information_schema.sql_features SET comments = 'x'",
    'UPDATE pg_toast.pg_toast_1255 SET chunk_seq = 1',
    'CREATE TABLE pg_catalog.people (id int)',
    'ALTER TABLE pg_settings RENAME TO settings',
    'CREATE VIEW settings AS SELECT * FROM pg_settings; UPDATE settings SET setting = $$off$$',
  ]
  attacks(
    () => free,
    texts.map((text) => ({ title: text, steps: ['BEGIN', text], code: '*' })),
  )

  const settings = [
    'SET standard_conforming_strings = off', 'SET SESSION ROLE orders_owner', "SET NAMES 'SJIS'", 'RESET ROLE', 'SET session_replication_role = replica',
    "SELECT set_config('standard_conforming_strings', 'off', false)", "SET LOCAL backslash_quote = on", 'SET row_security = off',
    "SET \"Client_Encoding\" TO 'BIG5'", 'SET SESSION AUTHORIZATION DEFAULT', 'ALTER ROLE CURRENT_USER SET search_path = attic',
    'ALTER DATABASE orders SET standard_conforming_strings = off',
  ] // prettier-ignore
  attacks(
    () => free,
    settings.map((text) => ({ title: text, steps: [text], code: '42501' })),
    { oneSession: true },
  )

  const quoted = "SELECT '\\', code, ' FROM vault --\\'' AS x"
  attacks(
    () => free,
    [
      { title: 'a quoting attack behind it', steps: [texts[0]!, quoted] },
      { title: 'a quoting attack behind it, in a transaction', steps: ['BEGIN', texts[0]!, quoted, 'COMMIT', quoted] },
      { title: 'a quoting attack behind it, in one write', steps: [[query(texts[0]!), query(quoted)]] },
      {
        title: 'a quoting attack behind it, in a batch',
        steps: [
          [run(texts[0]!), run(quoted), sync],
          [run(quoted), sync],
        ],
      },
    ],
  )
})

describe('a write that looks bounded, and is not, is refused', () => {
  const where = [
    'true', '1 = 1', 'id = id', 'id IS NOT NULL', 'NOT false', 'id > 0', 'id >= 1 AND id <= 3000', 'id BETWEEN 1 AND 3000',
    'id <> 0', 'paid', 'paid = true', 'paid IN (true, false)', 'paid IN (1 = 1, 1 = 2)', 'paid = ANY (ARRAY[true, false])', 'paid IS TRUE',
    'xmax = 0', 'ledger.xmax = 0', 'cmin = cmin', 'cmax = 0', "tableoid = 'ledger'::regclass", 'ledger.tableoid = 16400',
    'id IN (SELECT id FROM ledger)', 'id = ANY (SELECT id FROM ledger b)', 'id IN (SELECT generate_series(1, 3000))',
    'id = ANY (ARRAY(SELECT id FROM ledger))', 'id IN (SELECT id FROM ledger LIMIT 5000)', 'id IN (SELECT b.id FROM ledger b LIMIT ALL)',
    'id IN (SELECT id FROM ledger ORDER BY paid FETCH FIRST 1 ROW WITH TIES)', 'id IN (SELECT ledger.id)', 'id = (SELECT ledger.id)',
    'EXISTS (SELECT 1)', '(id, total) = (id, total)', '(paid, total) = (true, total)', 'ROW(id) IN (SELECT id FROM ledger)', '(1, paid) = (1, true)',
    'id = 1 OR true', 'id = 1 OR id <> 1', 'NOT (id = 1)', '(SELECT true) = (id = id)', 'coalesce(id, 1) = id', 'total = 0 OR total = total',
    "body LIKE 'r%'", "body ~ '.'", "at > '2000-01-01'", 'id = 1 IS NOT NULL', '(id = 1) IS DISTINCT FROM NULL', 'id = NULL IS NULL',
    'id = (WITH q AS (SELECT ledger.id AS n) SELECT n FROM q)', 'id = id(ledger)', 'total = (random() * 0)::int', 'ctid IS NOT NULL', '(id = 1) IS NOT NULL',
    'id IN (SELECT v FROM (VALUES (1), (2)) x (v), ledger)', 'id IN (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3000) SELECT n FROM r)',
  ] // prettier-ignore
  const rows: readonly Attack[] = [
    'DELETE FROM ledger',
    'TRUNCATE ledger',
    'UPDATE ledger SET total = 1',
    'DELETE FROM ledger USING generate_series(1, 3000) g WHERE id = g',
    'DELETE FROM ledger l USING ledger b WHERE l.id = b.id',
    'DELETE FROM ledger l USING ledger b WHERE l.id = b.id AND b.paid = true',
    'DELETE FROM ledger l USING (SELECT id FROM ledger) b WHERE l.id = b.id',
    'DELETE FROM ledger l USING (SELECT paid AS id FROM ledger LIMIT 2) b WHERE l.paid = b.id',
    'UPDATE ledger SET total = 1 FROM decoy d WHERE d.id = 1',
    'UPDATE ledger SET total = 1 FROM decoy d LEFT JOIN ledger b ON b.id = d.id WHERE d.id = 1',
    'WITH t AS (SELECT id FROM ledger) DELETE FROM ledger USING t WHERE t.id = ledger.id',
    'WITH d AS (DELETE FROM ledger RETURNING 1) SELECT count(*) FROM d',
    'WITH d AS (DELETE FROM ledger WHERE paid = true) SELECT 1',
    'MERGE INTO ledger l USING ledger b ON l.id = b.id WHEN MATCHED THEN DELETE',
    'MERGE INTO ledger l USING decoy d ON d.id = 1 WHEN MATCHED THEN UPDATE SET total = 1',
    'MERGE INTO ledger l USING decoy d ON l.id = d.id WHEN NOT MATCHED BY SOURCE THEN DELETE',
    "DELETE FROM ledger; SELECT 'id = 1'",
    'DELETE /* WHERE id = 1 */ FROM ledger -- WHERE id = 1',
    'EXPLAIN ANALYZE DELETE FROM ledger WHERE paid',
    'UPDATE ledger SET paid = false WHERE paid IN (SELECT true)',
    'INSERT INTO ledger (id, total) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET total = 1; DELETE FROM ledger',
    'DELETE FROM public.ledger USING attic.ledger WHERE attic.ledger.id = 1',
    'UPDATE public.ledger SET total = 1 FROM attic.ledger WHERE attic.ledger.id = 1',
    'DELETE FROM ledger WHERE id IN (SELECT q.k FROM ledger l, LATERAL (SELECT l.id AS k) q WHERE l.id = q.k)',
    'WITH w AS (SELECT l.id FROM ledger l JOIN LATERAL (VALUES (l.id)) q (k) ON l.id = q.k) DELETE FROM ledger USING w WHERE ledger.id = w.id',
    'INSERT INTO ledger (id, total) VALUES (generate_series(4000, 9000), 1)',
    'DELETE FROM ledger l USING (SELECT id FROM ledger LIMIT 1000) a, (SELECT id FROM ledger LIMIT 1000) b WHERE l.id = a.id + b.id',
    'INSERT INTO ledger (id, total) SELECT 4000 + a.id * 1000 + b.id, 1 FROM (SELECT id FROM ledger LIMIT 1000) a, (SELECT id FROM ledger LIMIT 99) b',
    'DELETE FROM ledger WHERE id IN (SELECT id FROM ledger LIMIT 1000) OR id IN (SELECT id FROM ledger OFFSET 1000 LIMIT 1000)',
  ].map((text) => ({ title: text, steps: [text], code: '42501' }))
  const conditions = where.map((condition) => ({
    title: `DELETE WHERE ${condition}`,
    steps: [`DELETE FROM ledger WHERE ${condition}`],
    code: '42501',
  }))
  const messages: readonly Attack[] = [
    {
      title: 'in a batch',
      steps: [[run('SELECT 1'), run('DELETE FROM ledger WHERE paid = $1', ['t']), sync]],
      code: '42501',
    },
    {
      title: 'by a parameter that is a list',
      steps: [[parse('DELETE FROM ledger WHERE paid = ANY ($1)'), bind({ values: ['{t,f}'] }), execute(), sync]],
      code: '42501',
    },
    {
      title: 'prepared in SQL',
      steps: ['PREPARE d (bool) AS DELETE FROM ledger WHERE paid = $1; EXECUTE d(true)', 'EXECUTE d(true)'],
      code: '42501',
    },
  ]
  attacks(() => careful, [...rows, ...conditions, ...messages], { groups: ['data-agents'], oneSession: true })
})

describe('CASCADE does not reach a table that a rule keeps', () => {
  const texts = [
    'TRUNCATE base CASCADE', 'TRUNCATE ONLY base CASCADE', 'TRUNCATE decoy, base CASCADE', 'TRUNCATE above', 'TRUNCATE far CASCADE',
    'DROP SCHEMA public CASCADE', 'DROP TABLE base CASCADE', 'DROP TABLE above CASCADE', 'DROP TABLE decoy, base CASCADE',
    'ALTER TABLE base DROP COLUMN id CASCADE', 'ALTER TABLE base DROP CONSTRAINT base_pkey CASCADE', 'ALTER TABLE above DROP COLUMN note',
    'ALTER TABLE above RENAME note TO other', 'ALTER TABLE above ALTER note TYPE text', 'ALTER TABLE above ADD more int',
    'DROP TYPE mood CASCADE', 'DROP OWNED BY orders_owner CASCADE',
  ] // prettier-ignore
  const heirs = 'rules about a table do not follow its rows into a statement about its parent'
  const keys = 'what a foreign key does to the rows of another table is no touch of that table'
  const holes: readonly (readonly [text: string, hole: string])[] = [
    ['DELETE FROM above WHERE id = 1', heirs],
    ["UPDATE above SET note = 'gone' WHERE id = 1", heirs],
    ['DELETE FROM base WHERE id = 1', keys],
    ['UPDATE base SET id = 5 WHERE id = 1', keys],
    ['DELETE FROM far WHERE id = 1', keys],
    ['WITH d AS (DELETE FROM base WHERE id = 1 RETURNING 1) SELECT 1 FROM d', keys],
    ['MERGE INTO base b USING decoy d ON d.id = b.id WHEN MATCHED THEN DELETE', keys],
  ]
  const rows = [
    ...texts.map((text) => ({ title: text, steps: ['BEGIN', text], code: '42501' })),
    ...holes.map(([text, hole]) => ({ title: text, steps: ['BEGIN', text], code: '42501', hole })),
  ]
  attacks(() => free, rows, { oneSession: true })
})
