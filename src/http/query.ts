/** A query as it is judged, recorded and sent. */
export type ReadQuery = {
  /** Without the `?`; empty when there is none. */
  readonly text: string
  /** Name to decoded value; several values of a name that ends in `[]` as a JSON array. */
  readonly parameters: Readonly<Record<string, string>>
}

/** RFC 3986 section 3.4, and brackets; no `;`, which separates parameters at some servers. */
const WRITTEN = /^(?:[A-Za-z0-9\-._~!$&'()*+,=:@/?[\]]|%[0-9A-Fa-f]{2})*$/

/**
 * Reads a query as a form (WHATWG URL, application/x-www-form-urlencoded). A name that stands twice is a problem, because
 * servers differ on which of the two counts; `name[]` is a list everywhere.
 */
export function readQuery(raw: string): ReadQuery | { readonly problem: string } {
  if (!WRITTEN.test(raw)) return { problem: 'the query has characters that a query cannot have, or a ";"' }
  if (raw.includes('%00')) return { problem: 'the query has an encoded NUL' }
  const lists = new Map<string, string[]>()
  for (const pair of raw.split('&').filter((pair) => pair !== '')) {
    const [name, value] = readPair(pair)
    if (name === undefined || value === undefined) return { problem: 'the query is no UTF-8 text' }
    const values = lists.get(name)
    if (values && !name.endsWith('[]')) return { problem: 'the query has the same parameter twice' }
    if (values) values.push(value)
    else lists.set(name, [value])
  }
  const parameters = [...lists].map(([name, values]) => [
    name,
    name.endsWith('[]') ? JSON.stringify(values) : values[0]!,
  ])
  return { text: spell(raw), parameters: Object.fromEntries(parameters) as Record<string, string> }
}

function readPair(pair: string): readonly (string | undefined)[] {
  const equals = pair.indexOf('=')
  const halves = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
  return halves.map(decode)
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

function spell(raw: string): string {
  const encoded = raw.replaceAll('[', '%5B').replaceAll(']', '%5D')
  return encoded.replaceAll(/%[0-9A-Fa-f]{2}/g, (octet) => octet.toUpperCase())
}
