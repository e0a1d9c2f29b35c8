/**
 * What can be known of a hidden value from the value of an expression.
 * `value`: all of it, but a NULL says only that the hidden value is NULL, which masking does not hide either.
 * `derived`: something of it, and a NULL may say it too (`nullif(ssn, '1')`).
 */
export type Secrecy = 'value' | 'derived'

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
  return one === 'derived' || other === 'derived' ? 'derived' : (one ?? other)
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
 */
type Passage = { readonly gives: Secrecy; readonly first?: boolean }

function passages(passage: Passage, names: string): readonly (readonly [string, Passage])[] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, passage] as const)
}

const FUNCTIONS: ReadonlyMap<string, Passage> = new Map([
  ...passages(
    { gives: 'value' },
    `ascii bit_length btrim char_length character_length concat concat_ws initcap json_build_array json_build_object
     jsonb_build_array jsonb_build_object left length lower ltrim md5 octet_length quote_ident quote_literal
     quote_nullable replace reverse right row_to_json rtrim strpos to_json to_jsonb translate upper`,
  ),
  ...passages(
    { gives: 'derived' },
    `any_value array_agg first_value json_agg jsonb_agg lag last_value lead max min string_agg`,
  ),
  ...passages({ gives: 'derived', first: true }, `lpad rpad split_part substr substring to_char`),
])

/** What the built-in function `name` lets through; undefined: it may fail, or do something. */
export function passageThrough(name: string): Passage | undefined {
  return FUNCTIONS.get(name)
}

/** Types whose every value has a text. */
export const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'char', 'name'])

/** Built-in operators that answer every operand. */
export const TOTAL_OPERATORS: ReadonlySet<string> = new Set(['||', '=', '<>', '!=', '<', '>', '<=', '>='])

/** Nodes whose value is made of those within them and nothing else, whatever these are. */
export const CARRIERS: ReadonlySet<string> = new Set([
  'A_ArrayExpr',
  'CollateClause',
  'List',
  'MinMaxExpr',
  'NamedArgExpr',
  'ResTarget',
  'RowExpr',
])
