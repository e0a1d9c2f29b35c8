/** A path as it is judged, recorded and sent: one spelling for what any server would take for the same. */
export type ReadPath = {
  /** Begins with `/`; no dot segments; `%XX` in upper case, and only where the character itself may not stand. */
  readonly path: string
  /** Between the slashes; a slash at the end adds none. */
  readonly segments: readonly string[]
}

/** RFC 3986 section 3.3 `pchar` and `/`, but no `;`: what follows one is a name to some servers and a parameter to others. */
const WRITTEN = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2})*$/
/** Slash, backslash, dot, semicolon, percent, controls: servers differ on whether they are still encoded when they count. */
const AMBIGUOUS = /%(?:2[EeFf]|5[Cc]|3[Bb]|25|[01][0-9A-Fa-f]|7[Ff])/
/** What may stand unencoded in a segment. */
const PLAIN = /[A-Za-z0-9\-._~!$&'()*+,=:@]/
/** What a character must not turn into where names are compared by compatibility (`‥` becomes `..`). */
// oxlint-disable-next-line no-control-regex
const SYNTAX = /[\x00-\x1f\x7f/\\.;%?#]/

/**
 * Reads the path of a request-target (RFC 9112 section 3.2.1), normalised as RFC 3986 section 6.2.2 says. A path that
 * two servers could read in two ways is a problem, not a path.
 */
export function readPath(raw: string): ReadPath | { readonly problem: string } {
  if (!WRITTEN.test(raw)) return { problem: 'the path has characters that a path cannot have, or a ";" or "\\"' }
  if (AMBIGUOUS.test(raw))
    return { problem: 'the path has an encoded slash, backslash, dot, semicolon, percent or control' }
  if (raw.includes('//')) return { problem: 'the path has an empty segment (//)' }
  const spelled = raw.replaceAll(/%[0-9A-Fa-f]{2}/g, spell)
  if (!isPlainText(spelled))
    return { problem: 'the path is no UTF-8 text, or has characters that look like its syntax' }
  const path = withoutDots(spelled)
  if (path === undefined) return { problem: 'the path leads out of the target (..)' }
  return { path, segments: path.split('/').filter((segment) => segment !== '') }
}

function spell(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return PLAIN.test(character) ? character : encoded.toUpperCase()
}

function isPlainText(path: string): boolean {
  try {
    const text = decodeURIComponent(path)
    return Array.from(text).every((character) => character <= '\x7f' || !SYNTAX.test(character.normalize('NFKC')))
  } catch (error) {
    if (error instanceof URIError) return false
    throw error
  }
}

/** RFC 3986 section 5.2.4; undefined for one that leads above the root. */
function withoutDots(path: string): string | undefined {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [place, segment] of segments.entries()) {
    const dots = segment === '.' || segment === '..'
    if (segment === '..' && kept.pop() === undefined) return undefined
    if (!dots) kept.push(segment)
    else if (place === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}
