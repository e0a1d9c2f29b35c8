import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { parseSync } from 'libpg-query'
import { analyse } from './analyse.ts'
import { indexCatalog } from './catalog-index.ts'
import { CLINIC, readAt } from './fixtures.ts'
import { templateOf } from './lexer.ts'
import type { Reading } from './reader.ts'
import { watchLiterals } from './watched-literals.ts'
import { startSqlReader } from './worker-reader.ts'

const INDEX = indexCatalog(CLINIC)

/** The literals that have to be the same in another text of the template; undefined when all have to. */
function pinnedIn(text: string): readonly string[] | undefined {
  const tree = parseSync(text)
  const pinned = watchLiterals(tree, text)
  analyse(tree, { target: 'clinic', searchPath: ['public'], hidden: ['pii'] }, INDEX)
  return pinned?.().map((place) => {
    const { start, end } = templateOf(text)!.literals[place]!
    return text.slice(start, end)
  })
}

describe('a literal', () => {
  it('is free where no part of the reading looks at it', () => {
    for (const text of [
      "SELECT id FROM visits WHERE id = 5 AND cost > 3.5 AND day < '2020-01-01' ORDER BY id LIMIT 10 OFFSET 20",
      'DELETE FROM visits WHERE id = 0 AND cost > - 5',
      'UPDATE visits SET cost = cost + -5 WHERE id IN (1, 2)',
      "INSERT INTO visits VALUES (1, 2, 3.5, '2020-01-01')",
      "SELECT CASE id WHEN 1 THEN 'a' END, 'é'::varchar(5), lower('x'), interval '1' day FROM visits WHERE id = ANY ('{1}')",
      'SELECT * FROM (SELECT id FROM visits WHERE cost > 3 LIMIT 5) v WHERE 1 = 1',
      "SELECT left(mail, 3), mail IN ('a', 'b'::text), (mail, 1) = ('a', 2) FROM patients",
    ])
      assert.deepEqual(pinnedIn(text), [], text)
  })

  it('is pinned where its value decides', () => {
    const pinned: Readonly<Record<string, readonly string[]>> = {
      'DELETE FROM visits WHERE id BETWEEN 1 AND 10': ['1', '10'],
      'DELETE FROM visits WHERE id > -7 AND id < 8': ['7', '8'],
      'SELECT id, 3 FROM visits GROUP BY 1 ORDER BY 2': ['1', '2'],
      'INSERT INTO visits SELECT * FROM visits WHERE cost > 5 LIMIT 6': ['6'],
      "SELECT set_config('search_path', 'x', false), 'y'": ["'search_path'", "'x'"],
      "SELECT 5::float(3), 'x'": ['3'],
      'WITH v AS (SELECT id FROM visits LIMIT 4) DELETE FROM visits WHERE id IN (SELECT id FROM v) AND cost > 5': ['4'],
    }
    for (const [text, values] of Object.entries(pinned)) assert.deepEqual(pinnedIn(text), values, text)
  })

  it('is pinned in every statement that is no query', () => {
    for (const text of [
      'SET x TO 5',
      "EXPLAIN SELECT 'a'",
      'PREPARE p AS SELECT 5',
      'EXECUTE p (5)',
      'SELECT 1; SET x TO 5',
    ])
      assert.equal(pinnedIn(text), undefined, text)
  })
})

const LITERALS =
  `0 1 2 3 7 1000 1001 2147483647 2147483648 99999999999999999999 1.5 0.0 '' 'x' 'it''s' '0' 'on' 'patients' 'role'
  'search_path' '2020-01-01' '2020-03-01' '4000-01-01' '{1,2}' '***' '1970-01-01' 'é😀' '-1'`.split(/\s+/)

const { statement } = fc.letrec<Record<'value' | 'condition' | 'query' | 'statement', string>>((tie) => {
  const build = (texts: string): fc.Arbitrary<string> =>
    fc.oneof(
      ...texts
        .trim()
        .split('\n')
        .map((text) => fill(text.trim())),
    )
  const fill = (text: string): fc.Arbitrary<string> =>
    fc
      .tuple(
        ...text.split(/\b(?=V\b|C\b|Q\b)|(?<=\b[VCQ])\b/).map((part) => {
          const named = { V: 'value', C: 'condition', Q: 'query' } as const
          return Object.hasOwn(named, part) ? tie(named[part as keyof typeof named]) : fc.constant(part)
        }),
      )
      .map((parts) => parts.join(''))
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('?', '?', 'id', 'id', 'cost', 'day', 'mail'),
      build(`-?
        - ?
        ?::int
        5::float(?)
        coalesce(V, ?)
        lower(V)
        set_config(?, ?, false)
        nextval(?)
        CASE V WHEN ? THEN V ELSE ? END
        V + ?
        (Q)`),
    ),
    condition: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('id = ?', 'TRUE', '? = ?', 'id > ?', 'day <= ?'),
      build(`id = V
        V <= V
        id BETWEEN ? AND ?
        day BETWEEN ? AND ?
        V IN (?, V)
        id = ANY (?)
        V LIKE ? ESCAPE ?
        C AND C
        C OR C
        NOT (C)
        id IN (Q)
        EXISTS (Q)`),
    ),
    query: build(`SELECT V FROM visits WHERE C
      SELECT V FROM visits WHERE C LIMIT ?
      SELECT V, id FROM patients ORDER BY ? LIMIT ? OFFSET ?
      SELECT id, V FROM patients WHERE C GROUP BY ?, ?
      SELECT id FROM visits FETCH FIRST ? ROWS WITH TIES
      SELECT id FROM (Q) AS v (id) WHERE C
      SELECT DISTINCT ON (?) id FROM accounts WHERE C
      SELECT id FROM visits TABLESAMPLE system (?) WHERE C
      SELECT unnest(ARRAY[?, V])
      VALUES (?, V)
      Q UNION SELECT ?`),
    statement: build(`Q
      Q
      DELETE FROM visits WHERE C
      UPDATE visits SET cost = V WHERE C RETURNING V
      INSERT INTO visits (id, cost) VALUES (?, V), (?, ?) ON CONFLICT (id) DO UPDATE SET cost = ?
      INSERT INTO visits (id) Q
      WITH v (id) AS (Q) DELETE FROM visits WHERE id IN (SELECT id FROM v LIMIT ?)
      MERGE INTO visits USING (Q) AS p (id) ON C WHEN MATCHED AND C THEN UPDATE SET cost = ? WHEN NOT MATCHED THEN INSERT VALUES (?)
      EXPLAIN Q
      SET search_path TO ?
      SELECT ?; DELETE FROM visits WHERE C`),
  }
})

/** A statement with literals for its question marks. */
const fillIn = (shape: string, literals: readonly string[]): string => {
  let next = 0
  return shape.replaceAll('?', () => literals[next++ % literals.length]!)
}
const literals = fc.array(fc.constantFrom(...LITERALS), { minLength: 3, maxLength: 7 })
const texts = fc
  .tuple(statement, fc.array(literals, { minLength: 2, maxLength: 4 }))
  .map(([shape, lists]) => lists.map((list) => fillIn(shape, list)))

/** What a reading without any cache says; undefined for a syntax error. */
function freshly(text: string, hidden: readonly string[]): unknown {
  try {
    return structuredClone({ statements: readAt(text, { hidden }) })
  } catch {
    return undefined
  }
}

describe('the reader', () => {
  const reader = startSqlReader()
  reader.learn('clinic', CLINIC)
  after(() => reader[Symbol.asyncDispose]())
  const read = (text: string, hidden: readonly string[] = ['pii']): Reading | Promise<Reading> =>
    reader.read({ text, target: 'clinic', searchPath: ['public'], hidden })

  it('reads at once what differs from a text read before only in free literals', async () => {
    const asked = read("SELECT id FROM visits WHERE id = 1 AND cost > 2 LIMIT 3 -- 'x'")
    assert.ok(asked instanceof Promise)
    const known = await asked
    assert.equal(read("SELECT id FROM visits WHERE id = 1 AND cost > 2 LIMIT 3 -- 'x'"), known)
    assert.equal(read("SELECT id FROM visits WHERE id = 99 AND cost > 100000 LIMIT 7 -- 'x'"), known)
    for (const other of [
      "= 1.0 AND cost > 2 LIMIT 3 -- 'x'",
      "= 1 AND cost > 2 LIMIT 3 -- 'y'",
      "='1' AND cost > 2 LIMIT 3 -- 'x'",
    ])
      assert.ok(read(`SELECT id FROM visits WHERE id ${other}`) instanceof Promise)
  })

  it('reads what differs in a pinned literal anew, and keeps both', async () => {
    const of = async (limit: number): Promise<unknown> =>
      read(`INSERT INTO visits (id) SELECT 5 FROM visits LIMIT ${limit}`)
    const [few, many] = [await of(10), await of(100_000)]
    assert.notDeepEqual(few, many)
    const again = (limit: number) => read(`INSERT INTO visits (id) SELECT 66 FROM visits LIMIT ${limit}`)
    assert.deepEqual([again(10), again(100_000)], [few, many])
  })

  it('looks at every text itself before it takes the reading of another one for it', async () => {
    await read("SELECT id FROM visits WHERE name = 'a'")
    for (const value of ['\0', '\ud800']) {
      const reading = await read(`SELECT id FROM visits WHERE name = '${value}'`)
      assert.ok('objection' in reading && reading.objection.code === 'unreadable')
    }
  })

  it('says of any text what a reading without a cache says', async () => {
    let [asked, alike] = [0, 0]
    await fc.assert(
      fc.asyncProperty(texts, fc.constantFrom(['pii'], []), async (list, hidden) => {
        for (const text of list) {
          const expected = freshly(text, hidden)
          const reading = read(text, hidden)
          asked++
          if (!(reading instanceof Promise)) alike++
          if (expected === undefined) assert.ok('objection' in (await reading), text)
          else assert.deepEqual(await reading, expected, text)
        }
      }),
      { numRuns: 1500 },
    )
    assert.ok(alike > asked / 10, `${alike} of ${asked} came from the cache: too few to say anything`)
  })
})
