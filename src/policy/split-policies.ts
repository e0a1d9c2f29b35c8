/** One policy of a file: its text from its first to its last token, and where that text begins. */
export type PolicyText = {
  readonly text: string
  /** UTF-16 offset of `text` in the file. */
  readonly offset: number
  /** UTF-16 offset in the file of each annotation's `@`, by the annotation's name. */
  readonly annotations: ReadonlyMap<string, number>
}

type Token = { readonly text: string; readonly offset: number }

const TOKEN = /\/\/[^\n]*|"[^"\\]*(?:\\[^][^"\\]*)*"?|@\s*[A-Za-z_]\w*|[^\s"/@;]+|[^\s]/g

function* tokens(source: string): Generator<Token> {
  for (const match of source.matchAll(TOKEN)) {
    if (!match[0].startsWith('//')) yield { text: match[0], offset: match.index }
  }
}

/**
 * Splits a Cedar file at the semicolons that end its policies, keeping the offsets that Cedar's own splitting loses.
 * Only comments and strings are understood here: each text is still to be parsed, and what follows the last semicolon
 * is a text of its own.
 */
export function splitPolicies(source: string): readonly PolicyText[] {
  const found: PolicyText[] = []
  let begin: number | undefined
  let end = 0
  let annotations = new Map<string, number>()
  for (const token of tokens(source)) {
    begin ??= token.offset
    end = token.offset + token.text.length
    if (token.text.startsWith('@')) annotations.set(token.text.slice(1).trim(), token.offset)
    if (token.text !== ';') continue
    found.push({ text: source.slice(begin, end), offset: begin, annotations })
    begin = undefined
    annotations = new Map()
  }
  if (begin !== undefined) found.push({ text: source.slice(begin, end), offset: begin, annotations })
  return found
}
