import { after, before, describe } from 'node:test'
import { bind, describePortal, execute, parse, sync } from '../client-messages.ts'
import type { Scene } from '../scene.ts'
import { attacks, startRange, type Attack } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

/** Each text on a connection of its own; it is refused, or answered with nothing secret in it. */
const texts = (list: readonly (string | readonly string[])[], code?: string): readonly Attack[] =>
  list.map((steps) => ({
    title: String(steps),
    steps: typeof steps === 'string' ? [steps] : steps,
    ...(code && { code }),
  }))

describe('a plain reference to a hidden column is masked, however it is called', () => {
  attacks(
    () => scene,
    texts(
      [
        'SELECT secret AS name, pin AS id, born AS x FROM people',
        'SELECT * FROM people p (a, b, c, d, e, f, g)',
        'SELECT "people"."secret", p.profile FROM people, people p',
        'SELECT q.* FROM people p, LATERAL (SELECT p.id) q',
        'TABLE people',
        'SELECT /* /* nested */ */ secret -- comment\n FROM people;;',
        'SELECT id FROM people; SELECT secret FROM people; SELECT pin, id FROM people',
        'PREPARE s (int) AS SELECT secret, pin FROM people WHERE id = $1; EXECUTE s(1); EXECUTE s((2))',
        'PREPARE s2 AS SELECT upper(secret) FROM people; SELECT 1; EXECUTE s2; SELECT left(secret, 5) FROM people',
        'SELECT x FROM (SELECT secret AS x FROM people OFFSET 0) s',
        'WITH u AS (SELECT secret FROM people) SELECT * FROM u',
        'SELECT q.x FROM people p, LATERAL (SELECT p.secret AS x) q',
        'SELECT * FROM people JOIN people b USING (id)',
        'SELECT * FROM (people p JOIN people b USING (id)) AS j',
        'SELECT secret FROM people UNION ALL SELECT notes FROM people',
        'WITH RECURSIVE r (a, b) AS (SELECT id, secret FROM people UNION ALL SELECT a + 9, b FROM r WHERE a < 20) SELECT b, a FROM r',
        'WITH RECURSIVE r (a, b, c) AS (SELECT name, name, secret FROM people UNION ALL SELECT b, c, c FROM r) SELECT * FROM r LIMIT 9',
        'WITH RECURSIVE r AS (SELECT id, secret FROM people UNION ALL SELECT id, secret FROM r WHERE false) SEARCH BREADTH FIRST BY secret SET o SELECT o FROM r',
        'BEGIN; DECLARE c CURSOR FOR SELECT upper(secret), pin FROM people; FETCH 1 c; SELECT 1; FETCH 1 c; COMMIT',
        'VALUES (1, (SELECT secret FROM people LIMIT 1))',
        'SELECT contact FROM reach',
        'SELECT * FROM reach_kept',
        'SELECT r, upper(contact) FROM reach r',
        'EXPLAIN (ANALYZE, VERBOSE) SELECT secret FROM people',
        'EXPLAIN (VERBOSE) SELECT upper(secret) FROM people',
        'BEGIN; DECLARE c BINARY SCROLL CURSOR FOR SELECT * FROM people; FETCH ALL c; FETCH BACKWARD 2 c; COMMIT',
      ],
      'none',
    ),
    { oneSession: true },
  )
})

describe('an expression of a hidden column says nothing of it', () => {
  const masked = [
    "secret || ''", 'upper(secret)', 'reverse(secret)', 'left(secret, 5)', 'ascii(secret)', 'md5(secret)', 'pin::text',
    "to_char(born, 'YYYY-MM-DD')", 'ARRAY[secret]', 'ROW(secret, pin)', 'p::text', '(p).secret', 'p', 'to_jsonb(p)', 'row_to_json(p)',
    'p.to_json', 'jsonb_build_object(1, secret)', 'json_agg(secret)', 'CASE WHEN true THEN secret END', 'coalesce(secret, 1::text)',
    'nullif(secret, notes)', 'greatest(secret, notes)', "concat(p.*)", 'quote_literal(secret)', "string_agg(secret, '') OVER ()",
    'first_value(secret) OVER (ORDER BY id)', 'lag(pin) OVER (ORDER BY id)', '(SELECT secret)', '(SELECT p)', 'max(secret)', 'min(born)',
    'array_agg(p)', "nullif(secret, 'zqvelvet')", "secret = 'zqvelvet'", "secret IN ('zqvelvet')", "count(nullif(secret, 'zqvelvet'))",
    'pin < 80000000', "nullif(secret, 'zqvelvet') IS NULL", "substr(secret, 1, 5)", 'rpad(secret, 5)',
  ] // prettier-ignore
  const refused = [
    "encode(secret::bytea, 'hex')", "encode(secret::bytea, 'base64')", 'secret::int', 'pin + 0', 'born + 1', "profile ->> 'dob'",
    "profile['dob']", "JSON_OBJECT('a': secret)", 'JSON_ARRAYAGG(secret)', "JSON_VALUE(profile, '$.dob')", 'xmlelement(name a, secret)',
    'xmlforest(secret)', "format('%s', secret)", "regexp_split_to_table(secret, '')", 'sum(pin)', 'mode() WITHIN GROUP (ORDER BY secret)',
    "set_config('a.b', secret, false)", 'pg_notify(secret, secret)', '1 / (length(secret) - 8)', 'count(*) FILTER (WHERE secret < $$zr$$)',
    "coalesce(nullif(secret, 'zqvelvet'), (1 / 0)::text)", "CASE WHEN secret = 'zqvelvet' THEN 1 / 0 END",
    "secret = 'zqvelvet' AND 1 / 0 = 1", "count(DISTINCT secret)", "pin * 1000", "array_agg(id ORDER BY secret)", "substr(notes, pin)",
    "lpad(notes, pin)", "secret LIKE 'zqv%'",
  ] // prettier-ignore
  for (const [expressions, code] of [
    [masked, 'none'],
    [refused, '42501'],
  ] as const) {
    const list = expressions.map((expression) => `SELECT ${expression} FROM people p`)
    attacks(() => scene, texts(list, code), { oneSession: true })
  }
})

describe('nothing fails, or is NULL, by what is hidden', () => {
  const isVelvet = "nullif(secret, 'zqvelvet')"
  const telling = [
    `substr(${isVelvet}, 1, -1)`, `split_part(${isVelvet}, 'x', 0)`, `lpad(${isVelvet}, 2000000000)`, `json_build_object(${isVelvet}, 1)`,
    `upper(${isVelvet} || c.x || d.y)`, `(${isVelvet} || c.x || d.y) = 'a'`, `greatest(${isVelvet} || c.x, d.y)`, `max(${isVelvet} || c.x || d.y) OVER ()`,
    "array_agg(nullif(ARRAY[secret], ARRAY['zqvelvet']))", "ARRAY(SELECT nullif(ARRAY[secret], ARRAY['zqvelvet']))",
    "ARRAY[ARRAY['x'], nullif(ARRAY[secret], ARRAY['zqvelvet'])]", "ARRAY[secret] || ARRAY[['x']]", "lag(id, pin) OVER ()",
    'secret::public.name', 'secret::pg_temp.text',
  ] // prettier-ignore
  const from = `people, (SELECT 'a'::text COLLATE "C" AS x) c, (SELECT 'b' COLLATE "POSIX" AS y) d`
  attacks(
    () => scene,
    texts(
      [
        ...telling.map((expression) => `SELECT ${expression} FROM ${from}`),
        'SET search_path = public, pg_catalog; SELECT secret::text FROM people',
        'CREATE DOMAIN pg_temp.text AS varchar',
        "UPDATE people SET profile['dob']['x'] = '1' WHERE id = 1",
        ...['coalesce', '?column?', 'case', 'row', 'nullif', 'm'].map(
          (name) =>
            `SELECT id, coalesce(secret, ''), secret || '', CASE WHEN true THEN secret END, ROW(secret), nullif(secret, ''), (SELECT secret AS m) FROM people ORDER BY "${name}"`,
        ),
        "WITH RECURSIVE r AS (SELECT 1 AS n, secret AS x FROM people UNION ALL SELECT 2, 'zqvelvet' FROM r) CYCLE x SET c USING p SELECT count(*) FROM r",
      ],
      '42501',
    ),
    { oneSession: true },
  )
  const unsaid = "SELECT count(*) FROM (SELECT (secret, 1) = ('zqvelvet', NULL) AS x FROM people) s WHERE x IS NULL"
  attacks(() => scene, texts([unsaid], '42501'), { oneSession: true })
})

describe('a hidden column is found however names and places were moved', () => {
  const names = Array.from({ length: 13 }, (_, place) => `c${place + 1}`).join(', ')
  const merged = '(people p JOIN people b USING (id))'
  const inner = "(SELECT secret || '' FROM mine LIMIT 1)"
  attacks(
    () => scene,
    texts(
      [
        `SELECT c9 || '' FROM (SELECT * FROM ${merged} AS j) AS s (${names})`,
        `SELECT c9 || '' FROM ${merged} AS j (${names})`,
        `BEGIN; WITH u (x, y, ${names}) AS (UPDATE decoy SET total = total FROM ${merged} RETURNING *) SELECT c9 || '' FROM u; ROLLBACK`,
        [
          'CREATE SCHEMA s1; CREATE TABLE s1.mine AS SELECT 1 AS id; CREATE SCHEMA s2; CREATE TABLE s2.mine (id int, secret text)',
          `SET search_path = s1, public; SELECT ${inner} FROM people`,
          'RESET search_path; DROP TABLE s1.mine; DROP SCHEMA s1; DROP TABLE s2.mine; DROP SCHEMA s2',
        ],
        ['CREATE TABLE mine AS SELECT 1 AS id', `SELECT ${inner} FROM people`, 'DROP TABLE mine'],
      ],
      'none',
    ),
    { oneSession: true },
  )
  const change = (text: string): Attack => ({
    title: `${text}, in a transaction`,
    steps: [
      "CREATE TABLE mine AS SELECT 1 AS id, ''::text AS secret",
      ['BEGIN', text, `SELECT ${inner} FROM people`, 'ROLLBACK'].join('; '),
      `BEGIN; ${text}`,
      `SELECT ${inner} FROM people`,
      'ROLLBACK; DROP TABLE mine',
    ],
    code: 'none',
  })
  attacks(() => scene, [change('ALTER TABLE mine DROP secret'), change('ALTER TABLE mine RENAME secret TO x')])
})

describe('a hidden column decides nothing that shows', () => {
  attacks(
    () => scene,
    texts(
      [
        "SELECT id FROM people WHERE secret LIKE 'zqv%'",
        'SELECT id FROM people WHERE pin BETWEEN 1 AND 80000000',
        'SELECT id FROM people ORDER BY secret',
        'SELECT id, secret FROM people ORDER BY 2',
        'SELECT count(*) FROM people GROUP BY left(secret, 3)',
        'SELECT DISTINCT secret FROM people',
        'SELECT DISTINCT ON (pin) id FROM people',
        "SELECT count(*) FROM people HAVING max(secret) > 'zqm'",
        'SELECT row_number() OVER (ORDER BY secret) FROM people',
        'SELECT 1 FROM people JOIN people b USING (secret)',
        'SELECT 1 FROM people NATURAL JOIN people b',
        "SELECT 1 FROM people a JOIN (VALUES ('zqvelvet')) v (x) ON a.secret = v.x",
        "SELECT 1 FROM (VALUES ('a')) v (secret) NATURAL JOIN people",
        'SELECT secret FROM people UNION SELECT notes FROM people',
        'SELECT notes FROM people EXCEPT ALL SELECT secret FROM people',
        'SELECT id FROM people LIMIT (SELECT length(secret) FROM people WHERE id = 1)',
        "SELECT id FROM people WHERE EXISTS (SELECT 1 FROM people b WHERE b.secret > 'zqn' AND b.id = people.id)",
        "DELETE FROM decoy USING people p WHERE p.secret LIKE 'zqv%' AND decoy.id = p.id",
        "INSERT INTO people (id, name, secret) VALUES (9, 'x', 'zqvelvet') ON CONFLICT (secret) DO NOTHING",
        'MERGE INTO decoy d USING people p ON d.id = p.id AND p.pin > 80000000 WHEN MATCHED THEN DELETE',
      ],
      '42501',
    ),
    { oneSession: true },
  )
})

describe('a copy of a hidden column is not made', () => {
  attacks(
    () => scene,
    texts(
      [
        'CREATE TABLE t AS SELECT secret FROM people',
        'CREATE TEMP TABLE t AS TABLE people',
        'SELECT pin INTO t FROM people',
        'CREATE VIEW v AS SELECT secret FROM people',
        'CREATE VIEW v AS SELECT p FROM people p',
        'CREATE MATERIALIZED VIEW v AS TABLE people',
        'CREATE TABLE t () INHERITS (people)',
        'CREATE TABLE t (LIKE people INCLUDING ALL, e text REFERENCES people (secret))',
        'CREATE INDEX ON people ((1 / (length(secret) - 8)))',
        'UPDATE people SET notes = secret WHERE id = 1',
        'UPDATE people SET (notes, name) = (profile, born) WHERE id = 1',
        'UPDATE ledger SET body = (SELECT secret FROM people LIMIT 1) WHERE id = 1',
        'UPDATE ledger SET body = p.secret FROM people p WHERE ledger.id = p.id AND p.id = 1',
        'INSERT INTO ledger (id, total, body) SELECT id + 9000, 0, secret FROM people',
        'INSERT INTO decoy (id, total) TABLE people',
        'MERGE INTO decoy d USING people p ON d.id = p.id WHEN MATCHED THEN UPDATE SET total = p.pin',
        "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET notes = people.secret",
        'PREPARE s AS SELECT secret FROM people; CREATE TABLE t AS EXECUTE s',
        'ALTER TABLE people ADD g text GENERATED ALWAYS AS (reverse(secret)) STORED',
        'ALTER TABLE people ALTER notes TYPE text USING secret',
        'ALTER TABLE people DROP COLUMN secret CASCADE',
      ],
      '42501',
    ),
    { oneSession: true },
  )
})

describe('rows that a write returns show nothing hidden', () => {
  const returned = [
    'old.secret', 'new.secret', 'old', 'new.*', 'lower(secret)', 'people', 'to_jsonb(old)', 'old.pin + new.pin',
  ] // prettier-ignore
  const update = 'UPDATE people SET notes = notes WHERE id = 1 RETURNING'
  attacks(
    () => scene,
    texts([
      ...returned.map((list) => ['BEGIN', `${update} ${list}`]),
      ['BEGIN', `${update} *`],
      ['BEGIN', `WITH u AS (${update} secret) SELECT * FROM u`],
      ['BEGIN', `WITH u AS (${update} secret) SELECT secret || '' FROM u`],
      ['BEGIN', `${update} WITH (OLD AS o, NEW AS n) o.secret, n.pin, n.born`],
      [
        'BEGIN',
        'MERGE INTO people p USING decoy d ON d.id = p.id WHEN MATCHED THEN UPDATE SET notes = p.notes RETURNING *',
      ],
      [
        'BEGIN',
        'MERGE INTO people p USING decoy d ON d.id = p.id WHEN MATCHED THEN UPDATE SET notes = p.notes RETURNING old.secret, new',
      ],
      ['BEGIN', "DELETE FROM visits WHERE id = 1 RETURNING *, secret || ''"],
    ]),
    { oneSession: true },
  )
})

describe('what stands behind a view, a function or a system relation stays there', () => {
  attacks(
    () => scene,
    texts(
      [
        'CREATE VIEW v AS SELECT * FROM reach',
        'SELECT secret_of(1)',
        'SELECT * FROM public.secret_of(1)',
        'SELECT id.secret_of FROM people id',
        'SELECT (1).secret_of',
        'CREATE TABLE t (x text DEFAULT secret_of(1))',
        "SELECT most_common_vals FROM pg_stats WHERE tablename = 'people'",
        'SELECT * FROM pg_statistic',
        'SELECT query FROM pg_stat_activity',
        "SELECT table_to_xml('people', true, false, '')",
        "SELECT query_to_xml('TABLE people', true, false, '')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(secret) FROM people')",
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT id FROM people WHERE secret = 'zqv'",
        "DO $$ BEGIN RAISE NOTICE '%', (SELECT secret FROM people LIMIT 1); END $$",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT secret FROM people LIMIT 1'",
      ],
      '42501',
    ),
    { oneSession: true },
  )
})

describe('a hidden column of a child is hidden in its parent', () => {
  attacks(
    () => scene,
    texts(['SELECT mark FROM hatch', 'SELECT mark FROM brood', "SELECT mark || '' FROM brood", 'TABLE brood']),
  )
})

describe('the wire shows nothing that a text would not', () => {
  const both = 'SELECT id, secret, pin, born, profile FROM people'
  const rows: readonly Attack[] = [
    { title: 'binary results of every column', steps: [[parse(both), bind({ formats: [1] }), execute(), sync]] },
    {
      title: 'a format for each',
      steps: [[parse(both), bind({ formats: [0, 1, 0, 1, 0] }), describePortal(), execute(), sync]],
    },
    { title: 'a few rows at a time', steps: [[parse(both), bind(), execute('', 1), execute('', 1), execute(), sync]] },
    {
      title: 'whole rows in binary',
      steps: [[parse('SELECT p FROM people p'), bind({ formats: [1] }), execute(), sync]],
    },
    {
      title: 'a parameter for a pattern',
      steps: [[parse('SELECT 1 FROM people WHERE secret = $1'), bind({ values: ['zqv'] }), execute(), sync]],
    },
    {
      title: 'a set operation in binary',
      steps: [
        [
          parse(`SELECT notes, 1 FROM people UNION ALL SELECT secret, pin FROM people`),
          bind({ formats: [1] }),
          execute(),
          sync,
        ],
      ],
    },
  ]
  attacks(() => scene, rows)
})
