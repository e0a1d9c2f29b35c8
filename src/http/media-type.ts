/** How a body can be searched: as JSON, as text, or not at all. */
export type BodyKind = 'json' | 'text' | 'binary'

const TEXTS: ReadonlySet<string> = new Set([
  'application/xml',
  'application/javascript',
  'application/yaml',
  'application/x-yaml',
  'application/x-ndjson',
  'application/jsonl',
  'application/json-seq',
  'application/x-www-form-urlencoded',
])

/** Charsets in which ASCII stands as itself. */
const ASCII_LIKE = /^(?:utf-?8|us-ascii|iso-8859-\d+|windows-125\d)$/i

/** The kind of a body by its Content-Type (RFC 9110 section 8.3); one without a type is taken for text. */
export function bodyKind(contentType: string | undefined): BodyKind {
  const type = essence(contentType)
  if (type === 'application/json' || type.endsWith('+json')) return 'json'
  return type === '' || type.startsWith('text/') || type.endsWith('+xml') || TEXTS.has(type) ? 'text' : 'binary'
}

/** `text/html` of `Text/HTML; charset=utf-8`. */
export function essence(contentType: string | undefined): string {
  return (contentType ?? '').split(';')[0]!.trim().toLowerCase()
}

/** False when a charset is named in which text cannot be searched byte by byte. */
export function isSearchable(contentType: string | undefined): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType ?? '')?.[1]
  return charset === undefined || ASCII_LIKE.test(charset)
}
