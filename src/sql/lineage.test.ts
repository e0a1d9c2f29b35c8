import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne } from './fixtures.ts'

/** Of each column the first letter of its Secrecy, `-`: nothing hidden; or all of them. */
function hidden(text: string): string {
  const { hides, objection } = readOne(text)
  assert.equal(objection, undefined)
  return hides === 'all' ? 'all' : (hides ?? []).map((secrecy) => secrecy?.[0] ?? '-').join('')
}

/** An empty line of columns means that nothing is hidden in any. */
const LINEAGE: readonly (readonly [string, string])[] = [
  ["DELETE FROM patients WHERE id=1 RETURNING (mail)||''", 'v'],
  ["INSERT INTO patients (id) VALUES (1) RETURNING excluded.mail, mail||''", '-v'],
  ['SELECT $1 || mail FROM patients', 'v'],
  ['SELECT (SELECT c) FROM patients c', 'd'],
  ['SELECT (SELECT q.mail FROM (SELECT mail) q, (VALUES (1)) contacts(mail)) FROM patients', 'v'],
  ['SELECT (c).mail FROM patients c', 'd'],
  ['SELECT (c).to_json FROM patients c', 'd'],
  ['SELECT (c.*)::text FROM patients c', 'd'],
  ['SELECT 1 FROM patients c JOIN LATERAL (SELECT mail) q ON true', ''],
  ['SELECT 1 FROM patients c, LATERAL (SELECT c.mail) q', ''],
  ['SELECT ARRAY(SELECT mail FROM patients)', 'f'],
  ['SELECT EXISTS (SELECT * FROM patients)', ''],
  ['SELECT GREATEST(mail) FROM patients', 'v'],
  ['SELECT c.* IS NULL FROM patients c', 'd'],
  ['SELECT c.to_jsonb FROM patients c', 'd'],
  ['SELECT e FROM (patients c JOIN visits o ON o.id=c.id) AS j(a,b,e)', 'v'],
  ['SELECT j FROM (patients c JOIN visits o ON o.id=c.id) AS j', 'd'],
  ['SELECT j.* FROM (patients c JOIN visits o ON o.id=c.id) AS j(a,b,e)', '--vv-----'],
  ['SELECT j.mail FROM (patients c JOIN visits o ON o.id=c.id) j', 'v'],
  ['SELECT j.* FROM (patients p JOIN patients q USING (id)) AS j(a, b, m)', '--vv--vv-'],
  ['SELECT mail COLLATE "C" FROM patients', 'v'],
  ["SELECT mail FROM patients UNION ALL SELECT 'x'", 'v'],
  ['SELECT patients FROM public.patients', 'd'],
  ['SELECT patients.mail::text FROM patients', 'v'],
  ['SELECT patients.row_to_json FROM patients', 'd'],
  ["SELECT public.patients.mail || '' FROM public.patients", 'v'],
  ['SELECT q.e FROM patients, LATERAL (SELECT mail AS e) q', 'v'],
  ["UPDATE patients SET notes='x' WHERE id=1 RETURNING WITH (OLD AS o) o.mail", 'v'],
  ["UPDATE patients SET notes='x' WHERE id=1 RETURNING new.*", '--vv-'],
  ["UPDATE patients SET notes='x' WHERE id=1 RETURNING old", 'd'],
  ["UPDATE patients SET notes='x' WHERE id=1 RETURNING old.mail", 'v'],
  ["UPDATE patients SET notes='x' WHERE id=1 RETURNING patients", 'd'],
  ['VALUES ((SELECT mail FROM patients LIMIT 1))', 'v'],
  ["WITH u AS (UPDATE patients SET notes='' WHERE id=1 RETURNING mail) SELECT 1", ''],
  ['WITH x AS (SELECT * FROM patients) SELECT 1 FROM x', ''],
  [
    'WITH RECURSIVE r AS (SELECT id, mail FROM patients UNION ALL SELECT id, name FROM r) SEARCH BREADTH FIRST BY mail SET o SELECT o FROM r',
    'o',
  ],
  ['SELECT q."?column?" FROM (SELECT mail || \'\' FROM patients) q', 'v'],
  ["SELECT q.b FROM (SELECT mail || '', id FROM patients) AS q(a, b)", ''],
  ['SELECT q."coalesce" FROM (SELECT coalesce(mail, \'x\'), id FROM patients) AS q', 'v'],
  ['SELECT "case" FROM (SELECT CASE WHEN id = 1 THEN mail END FROM patients) q', 'v'],
  ['SELECT mail FROM patients', 'v'],
  ['SELECT * FROM patients', '--vv-'],
  ['SELECT id, *, 1 FROM patients', '---vv--'],
  ['SELECT p.id, v.* FROM patients p JOIN visits v ON v.patient_id = p.id', ''],
  ['SELECT * FROM patients JOIN visits USING (id)', '--vv----'],
  ['SELECT * FROM patients NATURAL JOIN visits', '--vv----'],
  ['SELECT * FROM visits JOIN patients USING (id)', '-----vv-'],
  ['SELECT * FROM visits v LEFT JOIN (patients p JOIN bills b ON b.id = p.id) ON p.id = v.id', '------vv---'],
  ['SELECT q.m FROM (SELECT mail AS m FROM patients) q', 'v'],
  ['SELECT q.* FROM (SELECT id, mail FROM patients) AS q(a)', '-v'],
  ['SELECT a FROM (SELECT mail, id FROM patients) AS q(a)', 'v'],
  ['WITH x AS (SELECT id, mail FROM patients) SELECT mail, id FROM x', 'v-'],
  ['WITH x(b) AS (SELECT mail FROM patients) SELECT b FROM x', 'v'],
  [
    'WITH RECURSIVE r AS (SELECT id, mail FROM patients WHERE id = 1 UNION ALL SELECT id + 1, mail FROM r WHERE id < 5) SELECT id, mail FROM r',
    '-v',
  ],
  [
    'WITH RECURSIVE r(a, b) AS (SELECT 1, name FROM patients UNION ALL SELECT 2, mail FROM patients JOIN r ON r.a = patients.id) SELECT a, b FROM r',
    '-v',
  ],
  [
    'WITH RECURSIVE r(a, b, c) AS (SELECT name, name, mail FROM patients UNION ALL SELECT b, c, c FROM r) SELECT a, b, c FROM r',
    'vvv',
  ],
  ['SELECT id, upper(mail), mail || name, length(mail) FROM patients', '-vvv'],
  ["SELECT nullif(mail, 'x'), coalesce(mail, 'x'), mail IS NULL, count(mail) FROM patients", 'dv--'],
  ["SELECT count(*), count(nullif(mail, 'x')), max(mail), count(id) FROM patients", '-dv-'],
  ["SELECT CASE WHEN id = 1 THEN mail END, CASE id WHEN 1 THEN name ELSE 'x' END FROM patients", 'v-'],
  ['SELECT lag(mail) OVER (ORDER BY id), row_number() OVER (ORDER BY id) FROM patients', 'v-'],
  ['SELECT row_to_json(p), to_jsonb(p.*), p, ROW(p.id, p.mail) FROM patients p', 'dddv'],
  ['SELECT (SELECT mail FROM patients WHERE id = v.patient_id), v.day FROM visits v', 'v-'],
  ["SELECT json_build_object('a', name), jsonb_build_object('a', mail) FROM patients", '-v'],
  ["SELECT mail = 'x', mail > 'x', mail IN ('a') FROM patients", 'vvd'],
  ['SELECT name, mail FROM patients UNION ALL SELECT mail, name FROM patients', 'vv'],
  ["SELECT substr(mail, 1, 3), substr(name, 1, 3), to_char(born, 'YYYY') FROM patients", 'v-d'],
  ['INSERT INTO patients (id) VALUES (1) RETURNING id, mail, upper(mail)', '-vv'],
  ['MERGE INTO patients p USING visits v ON p.id = v.id WHEN MATCHED THEN DELETE RETURNING *', '------vv-'],
  ["UPDATE patients SET name = 'x' FROM visits v WHERE v.id = patients.id RETURNING *", '--vv-----'],
  ['SELECT (p).mail, (p).* FROM patients p', 'all'],
  ["SELECT array_agg(mail), string_agg(name, ',') FROM patients", 'f-'],
  ['SELECT j.* FROM (patients p JOIN visits v ON v.id = p.id) AS j', '--vv-----'],
  ['SELECT mail::text, mail::varchar(3), name::text FROM patients', 'vv-'],
  ['TABLE patients', '--vv-'],
  ["VALUES (1, (SELECT mail FROM patients LIMIT 1)), (2, 'x')", '-v'],
  ['SELECT * FROM (VALUES (1, (SELECT mail FROM patients LIMIT 1))) v(a, b)', '-v'],
  ['SELECT DISTINCT id, name FROM patients', ''],
  ['SELECT id, mail, count(*) FROM patients GROUP BY id', '-v-'],
  ['SELECT name, max(mail), array_agg(mail) FROM patients GROUP BY name', '-vf'],
  ['SELECT name AS n, max(mail) FROM patients GROUP BY ROLLUP (1, (n))', '-v'],
  [
    'INSERT INTO patients (id, mail) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET mail = excluded.mail RETURNING mail',
    'v',
  ],
  [
    'INSERT INTO patients (id, mail) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET (name, mail) = (excluded.name, excluded.mail)',
    '',
  ],
  ["SELECT mail IN ('a', $1, 'b'::text), (mail, 1) = ('x', $1) FROM patients", 'dd'],
  ["SELECT replace(mail, '--', '-'), to_char(born, 'YYYY') FROM patients", 'vd'],
  ['SELECT x.m FROM patients AS x(a, b, m)', 'v'],
]

/** The name of an output, as PostgreSQL makes it, is a name that an order may use. */
const NAMED: readonly (readonly [string, string])[] = [
  ["coalesce(mail, 'x')", 'coalesce'],
  ["mail || ''", '?column?'],
  ["greatest(mail, 'x')", 'greatest'],
  ["least(mail, 'x')", 'least'],
  ['ARRAY[mail]', 'array'],
  ['ARRAY(SELECT mail)', 'array'],
  ['ROW(mail)', 'row'],
  ['CASE WHEN true THEN mail END', 'case'],
  ["CASE WHEN id = 1 THEN '' ELSE mail END", 'mail'],
  ['(SELECT mail AS m)', 'm'],
  ["nullif(mail, '')", 'nullif'],
  ["('' || mail)::text", 'text'],
  ['(p).mail', 'mail'],
  ['upper(mail) COLLATE "C"', 'upper'],
]

describe('where hidden columns of a query are, in its result', () => {
  for (const [text, columns] of LINEAGE) it(text, () => assert.equal(hidden(text), columns))

  it('is nothing for those who may see them', () => {
    assert.equal(readOne('SELECT * FROM patients', { hidden: [] }).hides, undefined)
  })

  for (const [expression, name] of NAMED) {
    it(`is known when they order by "${name}", which is ${expression}`, () => {
      const text = `SELECT ${expression}, id FROM patients p ORDER BY "${name}"`
      assert.match(readOne(text).objection?.message ?? '', /in an order/)
      assert.equal(readOne(`SELECT ${expression}, id FROM patients p ORDER BY id`).objection, undefined)
    })
  }
})
