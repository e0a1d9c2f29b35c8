/**
 * What can be known of a hidden value from the value of an expression.
 * `value`: all of it, but a NULL says only that the hidden value is NULL, which masking does not hide either.
 * `derived`: something of it, and a NULL may say it too (`nullif(ssn, '1')`): nothing may fail because it is NULL or not.
 * `fragile`: as `value`, but its type has values by which functions fail or give NULL (arrays, ranges, JSON, rows).
 * `opaque`: both.
 */
export type Secrecy = 'value' | 'derived' | 'fragile' | 'opaque'

/** True when a NULL may say something of the value. */
export function tellsByNull(secrecy: Secrecy | null): boolean {
  return secrecy === 'derived' || secrecy === 'opaque'
}

export function isFragile(secrecy: Secrecy | null): boolean {
  return secrecy === 'fragile' || secrecy === 'opaque'
}

/** Types that functions answer every value of; `timestamp with time zone` and its like are these as well. */
const PLAIN_TYPES =
  /^(text|character( varying)?|"char"|name|smallint|integer|bigint|numeric|real|double precision|boolean|uuid|date|jsonb|inet|cidr|interval|time(stamp)? with(out)? time zone|money)$/

/** Of a hidden column by its type, as the catalog has it. */
export function secrecyOfType(type: string | undefined): Secrecy {
  return type === undefined || PLAIN_TYPES.test(type) ? 'value' : 'fragile'
}

/** Of each output of a query, by place; null: nothing hidden is in it. `all`: something is, and places are not known. */
export type Hides = readonly (Secrecy | null)[] | 'all'

export function hidesAny(hides: Hides): boolean {
  return hides === 'all' || hides.some((each) => each !== null)
}

/** Of places where one value or another may stand. `all` when their numbers differ and anything is hidden. */
export function either(one: Hides, other: Hides): Hides {
  if (!hidesAny(one) && !hidesAny(other)) return one
  if (one === 'all' || other === 'all' || one.length !== other.length) return 'all'
  return one.map((secrecy, place) => stronger(secrecy, other[place]!))
}

export function stronger(one: Secrecy | null, other: Secrecy | null): Secrecy | null {
  if (one === null || other === null) return one ?? other
  const nulls = tellsByNull(one) || tellsByNull(other)
  if (isFragile(one) || isFragile(other)) return nulls ? 'opaque' : 'fragile'
  return nulls ? 'derived' : 'value'
}

/** How a hidden column is used where its value does not go to an output: `context.predicates` of policies. */
export type Use = 'equality' | 'pattern' | 'range' | 'order' | 'group' | 'function' | 'join' | 'other'

/**
 * Collects what is hidden in an expression whose value goes to an output. `column`: the first one found, for messages.
 */
export type Flow = { secrecy: Secrecy | null; column: string | undefined }

export function newFlow(): Flow {
  return { secrecy: null, column: undefined }
}

export function flowIn(flow: Flow, secrecy: Secrecy | null, column: string | undefined): void {
  flow.secrecy = stronger(flow.secrecy, secrecy)
  flow.column ??= column
}

/**
 * What a built-in function lets through of a hidden argument. It must not fail, for a failure would tell of the value: only
 * functions that answer every argument stand here, or every first argument (`first`) when the others are no hidden ones.
 * `takes` the worst that may go in: `value` where a NULL spares an argument that it otherwise refuses, such as a negative
 * length or texts of two collations; `adds` what its result is besides.
 */
type Passage = {
  readonly takes: 'value' | 'derived' | 'opaque'
  readonly adds?: 'derived' | 'fragile'
  readonly first?: boolean
}

function passages(passage: Passage, names: string): readonly (readonly [string, Passage])[] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, passage] as const)
}

const FUNCTIONS: ReadonlyMap<string, Passage> = new Map([
  ...passages(
    { takes: 'opaque' },
    `any_value concat concat_ws first_value json_agg json_build_array last_value row_to_json to_json`,
  ),
  ...passages({ takes: 'opaque', first: true }, 'lag lead'),
  ...passages(
    { takes: 'derived' },
    `ascii bit_length btrim char_length character_length jsonb_agg jsonb_build_array left length ltrim md5 octet_length
     quote_ident quote_literal quote_nullable reverse right rtrim string_agg to_jsonb translate`,
  ),
  ...passages({ takes: 'derived', adds: 'fragile' }, 'array_agg'),
  ...passages({ takes: 'value' }, `initcap json_build_object jsonb_build_object lower max min replace strpos upper`),
  ...passages({ takes: 'value', first: true }, 'lpad rpad split_part substr substring'),
  ...passages({ takes: 'value', adds: 'derived', first: true }, 'to_char'),
])

/** What the built-in function `name` lets through; undefined: it may fail, or do something. */
export function passageThrough(name: string): Passage | undefined {
  return FUNCTIONS.get(name)
}

/** Types whose every value has a text. */
export const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name'])

/** Types that have no columns. */
export const SCALAR_TYPES: ReadonlySet<string> = new Set(
  `bool bpchar date float4 float8 int2 int4 int8 name numeric text time timestamp timestamptz uuid varchar`.split(' '),
)

/** Built-in operators that answer every operand but NULLs (texts of two collations are not compared) and fragile ones. */
export const TOTAL_COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '!=', '<', '>', '<=', '>='])

/** Nodes whose value is made of those within them and nothing else, whatever these are. */
export const CARRIERS: ReadonlySet<string> = new Set(['CollateClause', 'List', 'NamedArgExpr', 'ResTarget', 'RowExpr'])
