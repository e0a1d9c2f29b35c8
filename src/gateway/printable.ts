/**
 * What a terminal would obey or hide instead of showing: controls (ANSI escapes among them), bidirectional and other
 * format characters, invisible fillers, line and paragraph separators, lone surrogates, unassigned and private use.
 */
const UNSHOWABLE = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu

/** One line of text in which everything that a terminal would not show is written as `\n`, `\t` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNSHOWABLE, escaped)
}

/** How many characters `printable` had to escape, line ends apart. */
export function countHidden(text: string): number {
  return text.replaceAll('\n', '').match(UNSHOWABLE)?.length ?? 0
}

/** The whole text on lines of at most `width` columns; a line that goes on starts with `continued`, a new one with `first`. */
export function block(text: string, width: number, first = '  | ', continued = '  : '): readonly string[] {
  const room = Math.max(20, width - first.length)
  return text.split('\n').flatMap((line) => {
    return wrap(printable(line), room).map((piece, index) => (index === 0 ? first : continued) + piece)
  })
}

/** At most `columns` columns of one line, with the length of the whole when something is missing. */
export function shortened(text: string, columns: number): string {
  const whole = printable(text)
  const [start = ''] = wrap(whole, columns)
  return start === whole ? whole : `${start}… (${text.length} characters)`
}

function escaped(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  const hex = character.codePointAt(0)!.toString(16)
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`
}

/** Anything beyond ASCII is taken as two columns wide: no line is ever wrapped by the terminal itself. */
function wrap(line: string, columns: number): readonly string[] {
  const pieces: string[] = []
  let piece = ''
  let width = 0
  for (const character of line) {
    const own = character > '~' ? 2 : 1
    if (width + own > columns) {
      pieces.push(piece)
      piece = ''
      width = 0
    }
    piece += character
    width += own
  }
  return [...pieces, piece]
}
