import { after, before, describe } from 'node:test'
import type { Scene } from '../scene.ts'
import { attacks, startRange, type Attack } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

/** Each text is refused by the gateway, before the target could answer one way or another. */
const refused = (list: readonly string[]): readonly Attack[] =>
  list.map((text) => ({ title: text, steps: [text], code: '42501' }))

describe('what fails only where a hidden value is another one is not sent', () => {
  attacks(
    () => scene,
    refused([
      "SELECT secret IN ('zqmarble', 'x', (1 / (id - 1))::text) FROM people",
      "SELECT secret NOT IN ('zqmarble', 'x', ('x' || id)::int::text) FROM people",
      "SELECT (secret, 1) = ('zqmarble', 1 / (id - 1)) FROM people",
      'SELECT (pin, 1) >= (80000000, 1 / (id - 1)) FROM people',
      "SELECT (secret, 1) IS DISTINCT FROM ('zqmarble', 1 / (id - 1)) FROM people",
      "SELECT (secret, 1) IN (('zqmarble', 1 / (id - 1))) FROM people",
      "SELECT (p.secret, 1) = ('zqmarble', q.x) FROM people p, (SELECT 1 / (id - 1) AS x FROM decoy) q",
      "SELECT (q.s, 1) = ('zqmarble', q.s::text::int) FROM (SELECT secret AS s FROM people) q",
      "SELECT (secret, 1) = ('zqmarble', 0::public.positive) FROM people",
      'SELECT pin::"char" FROM people',
      'SELECT CAST(pin AS pg_catalog."char") FROM people',
      "SELECT to_char(pin, '9V999999999999') FROM people",
      'SELECT to_char(pin, name) FROM people',
      "SELECT replace(secret, 'zqv', repeat('x', 1073741823)) FROM people",
      "SELECT replace(replace(replace(secret, 'v', 'xxxxxxxxxx'), 'x', 'yyyyyyyyyy'), 'y', 'zzzzzzzzzz') FROM people",
      "SELECT replace('zzz', secret, 'zqvelvet') || replace('zqv', 'z', secret) FROM people",
    ]),
    { oneSession: true },
  )
})

describe('an unnest that gives more columns than one hides none of those behind it', () => {
  const list = 'x (c1, c2, c3, c4, c5, c6, c7, c8, c9)'
  const rows = `'{"(1,2)"}'::decoy[]`
  const texts = ['unnest(ARRAY[1], ARRAY[2]) u', `unnest(${rows}) u`, 'unnest(ARRAY[ROW(1, 2)::decoy]) u'].flatMap(
    (call) => [
      `SELECT x.c5 || '', x.c8::text FROM (SELECT * FROM ${call}, people) ${list}`,
      `WITH ${list} AS (SELECT * FROM ${call}, people) SELECT c5 || '', c8::text FROM x`,
    ],
  )
  const names = [rows, "ARRAY['a'], ARRAY['b']"].map(
    (args) => `SELECT (SELECT secret || '' FROM unnest(${args}) secret) FROM people`,
  )
  attacks(
    () => scene,
    [...texts, ...names].map((text) => ({ title: text, steps: [text] })),
    { oneSession: true },
  )
})

describe('a generated column hides what it is made of', () => {
  const masked = [
    'SELECT * FROM marks', 'SELECT low FROM marks', "SELECT high || '', upper(low) FROM marks", 'SELECT m FROM marks m',
    'SELECT low, high FROM marks UNION ALL SELECT low, high FROM marks_2', 'SELECT * FROM marks_view',
    "UPDATE marks SET id = 1 WHERE id = 1 RETURNING low, old.high",
  ] // prettier-ignore
  attacks(
    () => scene,
    masked.map((text) => ({ title: text, steps: ['BEGIN', text], code: 'none' })),
    { oneSession: true },
  )
  attacks(
    () => scene,
    refused([
      "SELECT id FROM marks WHERE low LIKE 'zqv%'",
      'SELECT id FROM marks ORDER BY high',
      'COPY marks (low) TO STDOUT',
      'CREATE TABLE t AS SELECT high FROM marks',
    ]),
    { oneSession: true },
  )
})

describe('the size of what is made of a hidden value is not told', () => {
  const made = "SELECT id, concat(translate(secret, 'v', ''), translate(secret, 'v', '')) AS x FROM people"
  attacks(
    () => scene,
    refused([
      `EXPLAIN (ANALYZE, SERIALIZE) ${made}`,
      `EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT id FROM (${made}, generate_series(1, 99) OFFSET 0) q ORDER BY id`,
      `EXPLAIN ANALYZE WITH m AS MATERIALIZED (${made}) SELECT a.id FROM m a, m b`,
      `PREPARE e AS ${made}; EXPLAIN (ANALYZE, SERIALIZE) EXECUTE e`,
    ]),
    { oneSession: true },
  )
})

describe('rows are not put in the order of a hidden column', () => {
  attacks(() => scene, refused(['CLUSTER people USING people_secret_key', 'CLUSTER people']), { oneSession: true })
})
