/** A step down: a member's name, an element's place, or any of them. */
type Step = string | number | typeof ANY

const ANY = Symbol('any')

/** The part of JSONPath (RFC 9535) that names values by position: member names, `[n]` and `[*]`. */
export type JsonPath = readonly Step[]

const STEP = /\.(?<name>[^.[\]'"*\s]+)|\['(?<quoted>[^'\\]+)'\]|\[(?<place>0|[1-9]\d{0,8})\]|(?<any>\[\*\]|\.\*)/y

/** Reads `$.customers[*].email`; undefined when it is none, or uses what is not built (`..`, filters, slices). */
export function parseJsonPath(text: string): JsonPath | undefined {
  if (!text.startsWith('$')) return undefined
  const steps: Step[] = []
  for (let at = 1; at < text.length;) {
    STEP.lastIndex = at
    const found = STEP.exec(text)
    if (!found) return undefined
    const { name, quoted, place } = found.groups!
    steps.push(name ?? quoted ?? (place === undefined ? ANY : Number(place)))
    at += found[0].length
  }
  return steps
}

/** Whether the value at `place` (names and indices from the root) is one that the path names. */
export function isAt(path: JsonPath, place: readonly (string | number)[]): boolean {
  return path.length === place.length && path.every((step, depth) => step === ANY || step === place[depth])
}
