import { Fault } from '../gateway/fault.ts'

/** What to put in place of values. Every other byte of the text stays as it is, numbers and duplicate members too. */
export type Rewriting = {
  /** Whether the value at this place (names and indices from the root) is to be hidden, whatever it is. */
  readonly hides: (place: readonly (string | number)[]) => boolean
  /** A string in its decoded form, a member's name, or a number: what to show instead, or undefined to keep it. */
  readonly scalar: (text: string) => string | undefined
}

export const STARS = '"***"'
const DEEPEST = 512

/**
 * Rewrites a JSON text (RFC 8259) by splicing. A hidden value becomes `"***"`; null stays null. Throws Fault `protocol`
 * for a text that is no JSON or is nested deeper than 512.
 */
export function rewriteJson(text: string, rewriting: Rewriting): string {
  assertJson(text)
  const place: (string | number)[] = []
  const pieces: string[] = []
  let kept = 0
  let name = false
  for (let at = skipSpace(text, 0), end = at; at < text.length; at = skipSpace(text, end)) {
    end = tokenEnd(text, at)
    const isName: boolean = name && text[at] === '"'
    const token = text.slice(at, end)
    const hidden: boolean = !isName && isValue(token) && token !== 'null' && rewriting.hides(place)
    if (hidden) end = valueEnd(text, at)
    const instead = hidden ? STARS : rewritten(token, rewriting)
    if (instead !== undefined) {
      pieces.push(text.slice(kept, at), instead)
      kept = end
    }
    if (isName) place[place.length - 1] = JSON.parse(token) as string
    else if (!hidden) move(place, token)
    name = !hidden && (token === '{' || (token === ',' && typeof place.at(-1) === 'string'))
  }
  return pieces.join('') + text.slice(kept)
}

function assertJson(text: string): void {
  try {
    JSON.parse(text)
  } catch (error) {
    throw new Fault('protocol', 'the text is no JSON', error)
  }
}

/** Into an array or object, on to the next element, or out again. */
function move(place: (string | number)[], token: string): void {
  if (token === '[') place.push(0)
  else if (token === '{') place.push('')
  else if (token === ']' || token === '}') place.pop()
  else if (token === ',' && typeof place.at(-1) === 'number') (place[place.length - 1] as number)++
  if (place.length > DEEPEST) throw new Fault('protocol', `JSON nested deeper than ${DEEPEST}`)
}

function isValue(token: string): boolean {
  return !(token === ',' || token === ':' || token === ']' || token === '}')
}

function rewritten(token: string, { scalar }: Rewriting): string | undefined {
  const isText = token.startsWith('"')
  if (!isText && !/^[-\d]/.test(token)) return undefined
  const instead = scalar(isText ? (JSON.parse(token) as string) : token)
  return instead === undefined ? undefined : JSON.stringify(instead)
}

function skipSpace(text: string, at: number): number {
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++
  return at
}

function tokenEnd(text: string, start: number): number {
  if (text[start] === '"') return stringEnd(text, start)
  if ('{}[],:'.includes(text[start]!)) return start + 1
  let end = start + 1
  while (end < text.length && !' \t\r\n,]}'.includes(text[end]!)) end++
  return end
}

/** A quote ends the string unless an odd number of backslashes stands before it. */
function stringEnd(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0
    while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return quote + 1
  }
}

/** Where the value that begins at `start` ends, with all that is in it. */
function valueEnd(text: string, start: number): number {
  let depth = 0
  for (let at = start; ; at = skipSpace(text, at)) {
    const opening = text[at]!
    at = tokenEnd(text, at)
    if (opening === '{' || opening === '[') depth++
    if (opening === '}' || opening === ']') depth--
    if (depth === 0) return at
  }
}
