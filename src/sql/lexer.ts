/**
 * How a literal is written, which decides its type in the grammar and in the target: `i` a whole number that fits int4,
 * `l` int8, `n` any other plain number, `s` a plain string.
 */
export type LiteralKind = 'i' | 'l' | 'n' | 's'

/** A literal of a text, with its quotes and without a sign. Offsets in UTF-16 units. */
export type Literal = { readonly kind: LiteralKind; readonly start: number; readonly end: number }

/** A text without its literals: `key` is the same for two texts when they differ in nothing but literals of one kind. */
export type Template = { readonly key: string; readonly literals: readonly Literal[] }

const BLOCK_COMMENT = String.raw`\/\*(?:[^*/\0]|\*(?!\/)|\/(?!\*))*\*\/`
/** In one way only, or a repetition of it could be tried in very many. */
const BLANK = String.raw`[ \t\n\r\f]|--[^\n\r\0]*(?![^\n\r])|${BLOCK_COMMENT}`
const IN_WORD = String.raw`\w$\x80-\uffff`
/** A text of more UTF-16 units, or with more literals, is not worth the time. */
const MOST_UNITS = 32 * 1024
const MOST_LITERALS = 1000

/**
 * What stands between literals: blanks and comments (no nested ones), words, quoted names, parameters, operators and
 * signs. A word with a quote right behind it is a prefix (E'', U&'', B''), which is not known here.
 */
const BETWEEN = new RegExp(
  `(?:${[
    BLANK,
    String.raw`[A-Za-z_\x80-\uffff][${IN_WORD}]*(?![${IN_WORD}']|&['"])`,
    String.raw`"(?:[^"\0]|"")+"`,
    String.raw`\$\d{1,9}(?![${IN_WORD}.])`,
    String.raw`[+*<>=~!@#%^&|\x60?,()[\];:]|-(?!-)|\/(?!\*)|\.(?![.\d])`,
  ].join('|')})*`,
  'y',
)
const LITERAL = new RegExp(String.raw`'(?:[^'\\\0]|'')*'(?!')|(?:0|[1-9]\d*)(?:\.\d+)?(?![${IN_WORD}.])`, 'y')
/** Two strings with nothing else between them may be one. */
const ONLY_BLANKS = new RegExp(`^(?:${BLANK})*$`)

/**
 * The template of a text by PostgreSQL's lexical rules ("Lexical Structure"; scan.l), with
 * `standard_conforming_strings` on. Undefined when it has no plain literal, or anything of which this lexer is not sure:
 * backslashes, prefixed and dollar-quoted strings, strings in pieces, numbers with an exponent, a base or leading zeros.
 */
export function templateOf(text: string): Template | undefined {
  if (text.length > MOST_UNITS) return undefined
  const literals: Literal[] = []
  let key = ''
  for (let at = 0; ;) {
    const start = endOf(BETWEEN, text, at)!
    const between = text.slice(at, start)
    if (start === text.length) return literals.length === 0 ? undefined : { key: key + between, literals }
    const end = endOf(LITERAL, text, start)
    if (end === undefined || literals.length === MOST_LITERALS) return undefined
    const kind = text[start] === "'" ? 's' : kindOfNumber(text.slice(start, end))
    if (kind === 's' && literals.at(-1)?.kind === 's' && ONLY_BLANKS.test(between)) return undefined
    literals.push({ kind, start, end })
    key += `${between}\0${kind}` // no text has a NUL of its own
    at = end
  }
}

/** Where the match at `at` ends. */
function endOf(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

function kindOfNumber(digits: string): LiteralKind {
  if (digits.length < 10) return digits.includes('.') ? 'n' : 'i'
  if (digits.length > 19 || digits.includes('.')) return 'n'
  if (BigInt(digits) < 2n ** 31n) return 'i'
  return BigInt(digits) < 2n ** 63n ? 'l' : 'n'
}
