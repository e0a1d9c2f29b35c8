import type { Random } from './random.ts'

/** Where a generated expression stands: the columns in sight, by type, and how deep it may still go. */
type Place = { readonly random: Random; readonly sight: readonly Column[]; readonly depth: number }
type Column = { readonly name: string; readonly type: Type }
type Type = 'text' | 'number' | 'boolean' | 'any'

type Source = { readonly name: string; readonly columns: readonly Column[] }

const columns = (names: string, type: Type): readonly Column[] =>
  names.split(' ').map((name) => ({ name: name.replace('~', ' '), type }))

const SOURCES: readonly Source[] = [
  {
    name: 'people',
    columns: [
      ...columns('name secret notes secret secret', 'text'),
      ...columns('id pin', 'number'),
      ...columns('born profile tags raw span doc home mood seen', 'any'),
    ],
  },
  { name: 'visits', columns: [...columns('kind mark "a~b" body', 'text'), ...columns('id person', 'number')] },
  { name: 'plain', columns: [...columns('label c p', 'text'), ...columns('id total', 'number')] },
  { name: 'hatch', columns: [...columns('mark extra', 'text'), ...columns('id', 'number')] },
  { name: 'reach', columns: [...columns('contact loud name', 'text'), ...columns('id pin', 'number')] },
  { name: 'chosen', columns: [...columns('early name', 'text'), ...columns('id', 'number')] },
  { name: 'kept', columns: [...columns('contact name', 'text'), ...columns('id', 'number')] },
]

const TEXTS = ["'alpha'", "'bravo'", "''", "'12'", 'NULL::text', "'x'", '(\'a\' COLLATE "C")']
/** Hidden values of one of the databases. */
const KNOWN = ["'alpha'", "'bravo'", "'omega'"]
const NUMBERS = ['0', '1', '5', '-1', 'NULL::int', '900']

/** `t`, `n`, `b`, `a` stand for an expression of that type, `k` for a constant number. */
const FORMS: Readonly<Record<Type, readonly string[]>> = {
  text: [
    't || t', 'upper(t)', 'lower(t)', 'initcap(t)', 'left(t, n)', 'right(t, n)', 'reverse(t)', 'replace(t, t, t)', 'translate(t, t, t)',
    'btrim(t, t)', 'substr(t, k, k)', 'substring(t FROM k FOR k)', 'lpad(t, k, t)', 'rpad(t, k)', 'split_part(t, t, k)', 'md5(t)',
    'coalesce(t, t)', 'nullif(t, t)', 'greatest(t, t)', 'least(t, t)', 
    't::varchar(3)', 'n::text', 'a::text', 't::name::text', 'quote_literal(a)', 'quote_ident(t)', 'quote_nullable(t)', 'concat(t, a, n)',
    'concat_ws(t, t, a)', '(SELECT t)', '(SELECT max(t))', 't COLLATE "C"', '(ARRAY[t, t])[k]', 'to_json(a)::text', "to_char(n, '999')",
    
    'row_to_json(ROW(t, n))::text', '(SELECT string_agg(t, t))', 'to_char(born, t)',
  ],
  number: [
    'length(t)', 'ascii(t)', 'octet_length(t)', 'strpos(t, t)', 'position(t IN t)', 'nullif(n, n)', 'coalesce(n, n)', 
    'greatest(n, n)', '(SELECT count(t))', '(SELECT count(a))', '(SELECT n)', 
    'bit_length(t)', 
  ],
  boolean: [
    't = t', 't < t', 'n >= n', 't IS NULL', 'a IS NULL', 'a IS NOT NULL', 't IS DISTINCT FROM t', 't IN (t, t)', 
    'EXISTS (SELECT t)', '(t, n) = (t, n)', 
    '(t, n) < (t, n)', 'ROW(t, n) IS DISTINCT FROM ROW(t, n)', 'true', 'ROW(t, a) IS NULL', 
    'nullif(t, t) IS NULL', 't IS NULL', 'a IS NULL', 'ROW(t) IS NOT NULL', 'b = b',
  ],
  any: [
    'ARRAY[t, t]', 'ARRAY[ARRAY[t], ARRAY[t, t]]', 'ROW(t, n)', 'to_json(a)', 'to_jsonb(a)', 'json_build_array(a, t)', 'json_build_object(t, a)',
    'jsonb_build_object(t, t)', 'jsonb_build_array(a)', 'ARRAY(SELECT t)', 'ARRAY(SELECT a)', 
    'lower(span)', 'upper(span)', 'span || span', 'tags || ARRAY[t]', 'tags || tags', 'profile || profile', 
    '(home).city', 'row_to_json(home)', 'ARRAY[tags, tags]', 'coalesce(a, NULL)',
    '(SELECT array_agg(t))', '(SELECT json_agg(a))', '(SELECT jsonb_agg(a))', '(SELECT min(n))', 'nullif(ARRAY[t], ARRAY[t])', 'greatest(a, a)',
    't', 'n', 'b', 't', 'n',
  ],
} // prettier-ignore

/** The same, of which a hidden value is a use mostly. */
const RISKY: Readonly<Record<Type, readonly string[]>> = {
  text: [
    "format('%s', t)", 'repeat(t, k)', 'chr(n)', 'regexp_replace(t, t, t)', "string_to_array(t, ',')::text", 'overlay(t PLACING t FROM k)', "encode(t::bytea, 'hex')", "(xpath(t, '<a/>'))::text", 'CASE WHEN b THEN t ELSE t END', 'CASE t WHEN t THEN t END', 'b::text',
  ],
  number: [
    'n + n', 'n / n', 't::int', 'n % n', 'array_length(ARRAY[t], 1)', 'abs(n)', 'sign(n)', 'width_bucket(n, 0, 9, 3)', 'cardinality(tags)', 'length(raw, t)', 'num_nulls(t, n)', 'CASE WHEN b THEN n END',
  ],
  boolean: [
    'NOT b', 'b AND b', 'b OR b', 't LIKE t', 't ~ t', 't BETWEEN t AND t', 't = ANY (ARRAY[t])', 't IN (SELECT t)', 'b IS TRUE', 'starts_with(t, t)', '(t, 1) = (SELECT t, n)',
  ],
  any: [
    'JSON_OBJECT(t: t)', 'JSON_ARRAY(t, n)', 'JSON_SCALAR(t)', "profile -> 'k'", 'profile ->> t', 'array_append(tags, t)', 'tags[k]', 'xmlelement(name a, t)', 'CASE WHEN b THEN a END',
  ],
} // prettier-ignore

/** They fail, or say so, where `e` is not NULL, and it is NULL in one of the databases only. */
const TELLING = [
  'substr(e, 1, -1)', 'split_part(e, t, 0)', 'lpad(e, 2000000000)', 'e IS NULL', 'count(e) OVER ()', 'json_build_object(e, 1)', 'upper(e)',
  'array_agg(nullif(ARRAY[e], ARRAY[e])) OVER ()', '(t, 1) = (e, NULL)', 'coalesce(e, e)', "to_char(born, e)", 'ARRAY[e] IS NULL', 'ROW(e) IS NULL',
  'ARRAY[ARRAY[t], nullif(ARRAY[t], ARRAY[e])]', '(SELECT upper(e || c || plain.p) FROM plain LIMIT 1)', 'max(e) OVER ()', 'lag(e, 0) OVER () IS NULL',
] // prettier-ignore

const COMPOSITES = [
  '{}',
  'to_json({})',
  'to_jsonb({})',
  '{} IS NULL',
  '{}::text',
  '({}).id',
  '{}.name',
  'count({}.*) OVER ()',
  'concat({})',
]

const AGGREGATES = [
  'max(t)', 'min(n)', 'count(t)', 'count(DISTINCT t)', 'string_agg(t, t)', 'array_agg(a)', 'json_agg(a)', 'jsonb_agg(a)', 'any_value(t)', 'bool_and(b)',
  'count(*) FILTER (WHERE b)', 'string_agg(t, \',\' ORDER BY t)', 'sum(n)', 'json_object_agg(t, n)', 'mode() WITHIN GROUP (ORDER BY t)',
  'percentile_disc(0.5) WITHIN GROUP (ORDER BY n)', 'count(nullif(t, t))', 'array_agg(ARRAY[t])', 'every(t = t)',
] // prettier-ignore

const WINDOWS = [
  'lag(t, k) OVER (ORDER BY id)', 'lead(t, n) OVER (ORDER BY id)', 'first_value(t) OVER (ORDER BY id)', 'row_number() OVER (ORDER BY t)',
  'rank() OVER (PARTITION BY t ORDER BY id)', 'max(t) OVER (ORDER BY id)', 'count(t) OVER (ORDER BY id)', 'last_value(a) OVER ()',
  'nth_value(t, k) OVER (ORDER BY id)', 'ntile(2) OVER (ORDER BY t)', 'sum(n) OVER (ORDER BY id ROWS n PRECEDING)', 'lag(n, n, n) OVER (ORDER BY id)',
] // prettier-ignore

/** An expression of that type over what is in sight. */
function expression(type: Type, place: Place): string {
  const { random, depth } = place
  if (depth === 0 || random.once(3)) return leaf(type, place)
  const deeper = { ...place, depth: depth - 1 }
  return fill(random.pick((random.once(12) ? RISKY : FORMS)[type]), deeper)
}

const HOLES: Readonly<Record<string, Type>> = { t: 'text', n: 'number', b: 'boolean', a: 'any' }

/** Single letters that stand alone are holes; in quotes they are text. */
function fill(form: string, place: Place): string {
  return form.replaceAll(/'[^']*'|"[^"]*"|\b([tnbake])\b(?!')/g, (all, hole: string | undefined) => {
    if (hole === undefined || (hole === 'a' && form.includes('name a'))) return all
    if (hole === 'e') return telling(place)
    if (hole === 'k') return place.random.pick(['0', '1', '2', '-1'])
    return expression(HOLES[hole]!, place)
  })
}

function telling({ random, sight }: Place): string {
  const texts = sight.filter(({ type }) => type === 'text')
  return texts.length === 0 ? 'NULL::text' : `nullif(${random.pick(texts).name}, ${random.pick(KNOWN)})`
}

function leaf(type: Type, { random, sight }: Place): string {
  const own = sight.filter((column) => column.type === type || (type === 'any' && column.type !== 'boolean'))
  const column = own.length > 0 && !random.once(3) ? random.pick(own) : undefined
  if (column?.type === 'text' && random.once(5)) return `nullif(${column.name}, ${random.pick(KNOWN)})`
  if (column?.type === 'number' && random.once(5)) return `nullif(${column.name}, 5)`
  if (column !== undefined) return column.name
  if (type === 'boolean') return random.pick(['true', 'false', 'NULL::boolean'])
  return random.pick(type === 'number' ? NUMBERS : TEXTS)
}

/** An item of a FROM list under an alias, and the columns that it has. */
function source(
  random: Random,
  alias: string,
  depth: number,
): { readonly text: string; readonly sight: readonly Column[] } {
  const qualified = (list: readonly Column[]): readonly Column[] =>
    list.map(({ name, type }) => ({ name: random.once(2) ? `${alias}.${name}` : name, type }))
  if (depth > 0 && random.once(3)) {
    const [x, y] = [pickSource(random), pickSource(random)]
    const inner = source(random, 'i', depth - 1)
    const place = { random, sight: inner.sight, depth: 1 }
    const shown = columns('id n2', 'number')
    const made = [...shown, ...columns('s t2', 'text')]
    const lateral = random.once(2) ? '' : 'LATERAL '
    const text = random.pick([
      () =>
        `${lateral}(SELECT 1 AS id, ${expression('number', place)} AS n2, ${expression('text', place)} AS s, ${expression('text', place)} AS t2 FROM ${inner.text}) AS ${alias}`,
      () =>
        `(VALUES (1, ${expression('number', { ...place, sight: [] })}, (SELECT secret FROM people WHERE id = 1), 'x'), (2, 3, 'alpha', (SELECT mark FROM visits WHERE id = 2))) AS ${alias}(id, n2, s, t2)`,
      () =>
        `(SELECT id, pin, name, secret FROM people UNION ALL SELECT id, total, label, label FROM plain) AS ${alias}(id, n2, s, t2)`,
      () => `(SELECT * FROM (${x.name} JOIN ${y.name} yy USING (id)) AS j) AS ${alias}(id, u1, s, t2, u2)`,
      () => `(${x.name} xx JOIN ${y.name} yy USING (id)) AS ${alias}(id, v1, s, t2)`,
    ])()
    const wide = text.includes('USING')
    return { text, sight: qualified(wide ? [...columns('id', 'number'), ...columns('s t2', 'any')] : made) }
  }
  const { name, columns: list } = pickSource(random)
  return { text: `${name} ${alias}`, sight: qualified(list) }
}

function pickSource(random: Random): Source {
  return random.once(2) ? SOURCES[0]! : random.pick(SOURCES)
}

const JOINS = ['JOIN', 'LEFT JOIN', 'FULL JOIN', 'CROSS JOIN', 'NATURAL JOIN', ',']

function fromList(random: Random): { readonly text: string; readonly sight: readonly Column[]; readonly id: string } {
  const one = source(random, 'p', 1)
  if (random.once(2)) return { ...one, id: 'p.id' }
  const other = source(random, 'q', 1)
  const join = random.pick(JOINS)
  const using = random.once(2)
  const end = /^(CROSS|NATURAL|,)/.test(join) ? '' : using ? ' USING (id)' : ' ON p.id = q.id'
  const sight = [...one.sight, ...other.sight].map((each) =>
    each.name === 'id' && !using ? { ...each, name: 'p.id' } : each,
  )
  return { text: `${one.text} ${join} ${other.text}${end}`, sight, id: 'p.id' }
}

const ENDS = [
  '', '', '', '', '', '', '', '', '', '', '', '', 'ORDER BY id', 'LIMIT 3', 'ORDER BY 1', 'ORDER BY 2', 'ORDER BY "upper"', 'ORDER BY "coalesce"', 'ORDER BY "?column?"', 'ORDER BY x1',
  'ORDER BY x1, id', 'GROUP BY 1', 'GROUP BY id', 'GROUP BY x1', 'LIMIT 2', 'OFFSET 1', 'FOR UPDATE', 'ORDER BY id FETCH FIRST 1 ROW WITH TIES',
  'GROUP BY ROLLUP (id)', 'GROUP BY GROUPING SETS ((1), ())',
] // prettier-ignore

/** A SELECT over one or two sources. */
function select(random: Random): string {
  const from = fromList(random)
  const place = { random, sight: from.sight, depth: 1 + random.below(3) }
  const grouped = random.once(5)
  const list = Array.from({ length: 1 + random.below(3) }, (_, i) => output(place, grouped, i))
  const where = random.once(4)
    ? ` WHERE ${random.once(2) ? `${from.id} < 3` : random.once(2) ? `${from.id} IS NOT NULL` : expression('boolean', { ...place, depth: 1 })}`
    : ''
  const distinct = random.once(30) ? 'DISTINCT ' : random.once(40) ? 'DISTINCT ON (1) ' : ''
  const end = grouped ? random.pick(['', 'GROUP BY p.id', 'HAVING true']) : random.pick(ENDS)
  return `SELECT ${distinct}${list.join(', ')} FROM ${from.text}${where} ${end}`
}

function output(place: Place, grouped: boolean, i: number): string {
  const { random } = place
  const alias = random.once(3) ? ` AS x${i}` : ''
  if (grouped) return fill(random.pick(AGGREGATES), { ...place, depth: 2 }) + alias
  if (random.once(8)) return fill(random.pick(WINDOWS), { ...place, depth: 1 }) + alias
  if (random.once(10)) return random.pick(COMPOSITES).replaceAll('{}', random.pick(['p', 'p.*'])) + alias
  if (random.once(8)) return fill(random.pick(TELLING), { ...place, depth: 1 }) + alias
  if (random.once(12)) return random.pick(['*', 'p.*', '(p).*'])
  return expression(random.pick(['text', 'text', 'number', 'boolean', 'any']), place) + alias
}

/** One or two words of a query around another. */
const AROUND: readonly ((inner: string, random: Random) => string)[] = [
  ...Array.from(
    { length: 12 },
    () =>
      (inner: string): string =>
        inner,
  ),
  (inner) => `WITH w AS (${inner}) SELECT * FROM w`,
  (inner) => `WITH w(a) AS MATERIALIZED (${inner}) SELECT a FROM w ORDER BY 1`,
  (inner) => `WITH w(a) AS (${inner}) SELECT a IS NULL, count(*) OVER () FROM w`,
  (inner) => `SELECT * FROM (${inner}) s(a)`,
  (inner) => `SELECT s.*, 1 FROM (${inner}) s`,
  (inner) => `SELECT to_json(s) FROM (${inner}) s`,
  (inner) => `SELECT (SELECT array_agg(s) FROM (${inner}) s)`,
  (inner, random) => `${inner} UNION ALL ${select(random)}`,
  (inner, random) => `(${inner}) ${random.pick(['UNION', 'EXCEPT', 'INTERSECT ALL'])} (${select(random)})`,
  (inner) => `SELECT count(*) FROM (${inner}) s`,
  (inner) => `SELECT id, (SELECT a FROM (${inner}) s(a) LIMIT 1) FROM plain`,
  (inner) => `SELECT secret FROM people WHERE EXISTS (${inner})`,
  (inner) => `PREPARE s AS ${inner}; EXECUTE s; DEALLOCATE s`,
  (inner) => `SELECT 1; ${inner}; SELECT 2 AS two`,
  (inner) => `BEGIN; DECLARE c CURSOR FOR ${inner}; FETCH 2 c; MOVE 1 c; FETCH ALL c; ROLLBACK`,
  (inner) => `EXPLAIN (COSTS OFF) ${inner}`,
  (inner) => `COPY (${inner}) TO STDOUT`,
]

const RETURNS = ['*', 'p', 'old.*', 'new', 'old', 'to_json(p)']

const PARTS = ['tags', 'tags[1]', 'tags[2][2]', "profile['k']", "profile['k']['z']", 'home.city', 'home', 'pin']

/** A write that is rolled back. */
function write(random: Random): string {
  const sight = [
    ...SOURCES[0]!.columns,
    ...['old', 'new'].flatMap((row) => columns(`${row}.secret ${row}.name`, 'text')),
  ]
  const place = {
    random,
    sight: sight.map(({ name, type }) => ({ name: name.includes('.') ? name : `p.${name}`, type })),
    depth: 2,
  }
  const returned = random.once(3)
    ? random.pick(RETURNS)
    : expression(random.pick(['text', 'number', 'boolean', 'any']), place)
  const own = { random, sight: columns('p.name p.notes p.secret', 'text'), depth: 1 }
  const text = random.pick([
    () => `UPDATE people p SET notes = ${expression('text', own)} WHERE p.id < 3 RETURNING ${returned}`,
    () => `UPDATE people p SET ${random.pick(PARTS)} = NULL WHERE p.id < 3 RETURNING ${returned}`,
    () =>
      `UPDATE people p SET secret = ${expression('text', { ...own, sight: columns('name', 'text') })} FROM plain JOIN visits USING (id) WHERE p.id = plain.id RETURNING ${returned}`,
    () =>
      `DELETE FROM visits v USING people p WHERE v.person = p.id AND ${expression('boolean', own)} RETURNING v.*, ${returned.replaceAll(/\b(old|new)\./g, 'p.')}`,
    () => `INSERT INTO people AS p (id, name, secret) VALUES (9, 'n', 'alpha') RETURNING ${returned}`,
    () =>
      `MERGE INTO people p USING plain q ON p.id = q.id WHEN MATCHED THEN UPDATE SET notes = q.label RETURNING *, ${returned}`,
    () =>
      `INSERT INTO people AS p (id, name, secret) VALUES (1, 'n', 'alpha') ON CONFLICT (id) DO UPDATE SET notes = ${expression('text', own)} RETURNING ${returned}`,
  ])()
  const shown = random.once(3) ? `WITH w AS (${text}) SELECT * FROM w` : text
  return `BEGIN; ${shown}; ROLLBACK`
}

/** A text of one or more statements over the tables of twins.sql, of which many are refused. */
export function anyText(random: Random): string {
  if (random.once(8)) return write(random)
  if (random.once(15)) return recursive(random)
  return random.pick(AROUND)(select(random), random)
}

function recursive(random: Random): string {
  const place = { random, sight: columns('r.x r.y', 'text'), depth: 1 }
  const step = `SELECT n + 1, ${expression('text', place)}, ${expression('text', place)} FROM r WHERE n < 4`
  const ends = [
    '',
    '',
    ' SEARCH BREADTH FIRST BY x SET o',
    ' SEARCH DEPTH FIRST BY n SET o',
    ' CYCLE x SET c USING path',
  ]
  const items = `r(n, x, y) AS (SELECT 1, name, secret FROM people WHERE id < 3 ${random.pick(['UNION ALL', 'UNION ALL', 'UNION'])} ${step})${random.pick(ends)}`
  return `WITH RECURSIVE ${items} SELECT ${random.pick(['*', 'n, x', 'y', 'count(*)', 'x IS NULL, n', 'n, r'])} FROM r`
}
