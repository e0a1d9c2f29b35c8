/** Header fields in the order of the message; names in lower case. A value is text of one byte a character (latin1). */
export type Fields = readonly (readonly [name: string, value: string])[]

/** Meant for the next hop only (RFC 9110 section 7.6.1), or for what stands between two hops. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** Pairs out of node's `rawHeaders`. */
export function fieldsOf(raw: readonly string[]): Fields {
  const fields: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) fields.push([raw[at]!.toLowerCase(), raw[at + 1]!])
  return fields
}

/** Every value of a field; several lines are several values. */
export function valuesOf(fields: Fields, name: string): readonly string[] {
  return fields.flatMap(([own, value]) => (own === name ? [value] : []))
}

/** The fields that go beyond this hop: without those of the hop itself, and those that `Connection` names. */
export function endToEnd(fields: Fields): Fields {
  const named = listed(fields, 'connection')
  return fields.filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name))
}

/** The members of a list field (RFC 9110 section 5.6.1), in lower case. */
export function listed(fields: Fields, name: string): ReadonlySet<string> {
  const members = valuesOf(fields, name).flatMap((value) => value.split(','))
  return new Set(members.map((member) => member.trim().toLowerCase()))
}
