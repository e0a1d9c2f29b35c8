/** A JSON object as it came in; look members up with `Object.hasOwn`. */
export type JsonObject = Readonly<Record<string, unknown>>

const DEPTH_LIMIT = 32

/** Strings (with the colon that makes them member names) and brackets of a text that is known to be JSON. */
const STRUCTURE = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g

/**
 * Reads a JSON object (RFC 8259) of UTF-8 bytes. Undefined when it is anything else, when an object in it has a member
 * twice (`JSON.parse` keeps the last: RFC 7515 section 4 and RFC 7519 section 4 let a reader refuse), or when it is
 * nested more than 32 deep.
 */
export function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return isPlain(text) ? (value as JsonObject) : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    throw error
  }
}

/** No duplicate members and no deep nesting. `text` is valid JSON. */
function isPlain(text: string): boolean {
  const members: Set<string>[] = []
  for (const [token, colon] of text.matchAll(STRUCTURE)) {
    if (token === '{' || token === '[') members.push(new Set())
    else if (token === '}' || token === ']') members.pop()
    else if (colon !== undefined) {
      const name = JSON.parse(token.slice(0, -colon.length)) as string
      if (members.at(-1)!.has(name)) return false
      members.at(-1)!.add(name)
    }
    if (members.length > DEPTH_LIMIT) return false
  }
  return true
}
