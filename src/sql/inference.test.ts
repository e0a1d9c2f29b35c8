import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne } from './fixtures.ts'
import type { Inference } from './reader.ts'

/** The uses of hidden columns that policies are told of, and whether they are refused before. */
function uses(text: string, inference: Inference): string {
  const { touches, objection } = readOne(text, { inference })
  const told = (touches[0]!.facts.own.predicates as readonly string[]).join(' ')
  return `${told}${objection === undefined ? '' : ', refused'}`
}

const USES: readonly (readonly [condition: string, use: string])[] = [
  ["mail = 'x'", 'equality'],
  ["'x' = mail", 'equality'],
  ['mail = $1::text', 'equality'],
  ["mail IN ('x', $1)", 'equality'],
  ["mail = ANY (ARRAY['x'])", 'equality'],
  ['mail = name', 'join'],
  ["mail <> 'x'", 'function'],
  ["mail LIKE 'x%'", 'pattern'],
  ["mail ILIKE 'x%'", 'pattern'],
  ["mail ~ '^x'", 'pattern'],
  ["mail SIMILAR TO 'x'", 'pattern'],
  ["mail > 'x'", 'range'],
  ["mail BETWEEN 'a' AND 'b'", 'range'],
  ["upper(mail) = 'X'", 'function'],
  ['mail IS NULL', 'other'],
  ['EXISTS (SELECT 1 FROM visits WHERE day = mail::date)', 'join'],
]

describe('uses of hidden columns', () => {
  for (const [condition, use] of USES) {
    const text = `SELECT id FROM patients WHERE ${condition}`
    it(`${use}: ${condition}`, () => {
      assert.equal(uses(text, 'none'), `${use}, refused`)
      assert.equal(uses(text, 'equality'), use === 'equality' ? use : `${use}, refused`)
      assert.equal(uses(text, 'any'), use)
    })
  }

  it('are named for orders, groups and joins too', () => {
    assert.equal(uses('SELECT id FROM patients ORDER BY mail', 'any'), 'order')
    assert.equal(uses('SELECT count(*) FROM patients GROUP BY mail', 'any'), 'group')
    assert.equal(uses('SELECT id FROM patients p JOIN patients q USING (mail)', 'any'), 'join')
  })

  it('leave what is returned masked', () => {
    const { hides } = readOne("SELECT upper(mail), name FROM patients WHERE mail LIKE 'x%'", { inference: 'any' })
    assert.deepEqual(hides, ['value', null])
    const made = ["encode(mail::bytea, 'hex')", "CASE WHEN mail LIKE 'x%' THEN 1 END", 'substr(name, length(mail))']
    for (const expression of made) {
      const masked = readOne(`SELECT ${expression}, name FROM patients`, { inference: 'any' })
      assert.deepEqual([masked.objection, masked.hides], [undefined, ['derived', null]], expression)
    }
  })

  it('leave masked what functions make of them', () => {
    const rows = 'FROM patients, unnest(ARRAY[mail]) u'
    for (const [text, hides] of [
      [`SELECT u, patients.id ${rows}`, ['opaque', null]],
      [`SELECT u.* ${rows}`, 'all'],
      ['SELECT x.a FROM patients, json_to_record(born::json) AS x(a text)', ['opaque']],
    ] as const)
      assert.deepEqual(readOne(text, { inference: 'any' }).hides, hides, text)
  })

  it('do not let a hidden column be copied', () => {
    const texts = [
      'CREATE TABLE t AS SELECT mail FROM patients',
      'INSERT INTO visits (cost) SELECT mail FROM patients',
      'UPDATE patients SET notes = mail WHERE id = 1',
      'UPDATE patients SET notes = upper(mail) WHERE id = 1',
      'MERGE INTO visits v USING patients p ON v.id = p.id WHEN MATCHED THEN UPDATE SET cost = p.mail',
      'INSERT INTO visits (cost) VALUES ((SELECT mail FROM patients LIMIT 1))',
      'CREATE VIEW v AS SELECT mail FROM patients',
      'COPY (SELECT mail FROM patients) TO STDOUT',
      'INSERT INTO patients (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET notes = patients.mail',
      "SELECT set_config('a.b', mail, false) FROM patients",
      'SELECT pg_notify(mail, mail) FROM patients',
      'EXECUTE p((SELECT mail FROM patients LIMIT 1))',
      'CREATE TABLE t AS EXECUTE p((SELECT mail FROM patients LIMIT 1))',
    ]
    for (const text of texts) assert.equal(readOne(text, { inference: 'any' }).objection?.code, 'denied', text)
  })
})
