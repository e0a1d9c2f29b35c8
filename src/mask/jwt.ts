import { DOT, standsAt } from './bytes.ts'
import type { Span } from './detector.ts'
import { byteSet, nextRun, runEnd } from './runs.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** base64url (RFC 4648, section 5), and the dots between the parts. */
const IN_TOKENS = byteSet(`${LETTERS}0123456789-_.`)
/** `{"alg":"dir"}`, two dots and one character more. */
const SHORTEST = 21
const SHORTEST_HEADER = 18
/** A longer one fits into no HTTP header, and is not decoded. */
const LONGEST_HEADER = 16_384

const SMALL_E = 0x65
const SMALL_W = 0x77
const SMALL_Y = 0x79

/**
 * JSON Web Tokens in their compact form (RFC 7519; RFC 7515, 7.1): three parts of base64url with dots between, of which the
 * first decodes to a JSON object with an `alg`. Five parts where it has an `enc` too (RFC 7516, 7.1). Parts may be empty,
 * as in tokens without a signature.
 */
export function findJwts(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  for (let start = nextRun(text, 0, SHORTEST, IN_TOKENS); start >= 0;) {
    const end = runEnd(text, start, IN_TOKENS)
    for (let part = start; part < end;) {
      const span = tokenIn(text, part, end)
      if (span && (found ??= []).push(span) >= most) return found
      part = span?.end ?? partEnd(text, part, end) + 1
    }
    start = nextRun(text, end, SHORTEST, IN_TOKENS)
  }
  return found
}

/** False when no piece of these bytes has a token in it: nowhere are two dots behind what could be a header. */
export function suspectsJwt(bytes: Uint8Array): boolean {
  for (let start = nextRun(bytes, 0, SHORTEST, IN_TOKENS); start >= 0;) {
    const end = runEnd(bytes, start, IN_TOKENS)
    if (isSuspect(bytes, start, end)) return true
    start = nextRun(bytes, end, SHORTEST, IN_TOKENS)
  }
  return false
}

function isSuspect(bytes: Uint8Array, start: number, end: number): boolean {
  let dots = -1
  for (let at = start; at < end; at++) {
    if (dots < 0 && mayBegin(bytes, at)) dots = 0
    if (dots >= 0 && bytes[at] === DOT && ++dots === 2) return true
  }
  return false
}

/** `{` and what may follow it: a quote, or white space. */
function mayBegin(text: Uint8Array, at: number): boolean {
  return text[at] === SMALL_E && (text[at + 1] === SMALL_Y || text[at + 1] === SMALL_W)
}

/** The token whose header is, or ends, the part that starts at `start`. */
function tokenIn(text: Uint8Array, start: number, limit: number): Span | undefined {
  const end = partEnd(text, start, limit)
  if (end >= limit || partEnd(text, end + 1, limit) >= limit) return undefined
  for (const first of new Set([start, firstHeader(text, start, end)])) {
    const header = headerOf(text, first, end)
    if (header) return { start: first, end: tokenEnd(text, end, limit, 'enc' in header ? 4 : 2) }
  }
  return undefined
}

/** A word may stand before a token (`session-eyJ…`, or the `n` of `\n`): where the first `{"` is in a part. */
function firstHeader(text: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end - SHORTEST_HEADER; at++) if (standsAt(text, at, 'eyJ')) return at
  return start
}

function headerOf(text: Uint8Array, start: number, end: number): object | undefined {
  const length = end - start
  if (!mayBegin(text, start) || length < SHORTEST_HEADER || length > LONGEST_HEADER) return undefined
  const part = Buffer.from(text.subarray(start, end)).toString('latin1')
  const header = jsonObject(Buffer.from(part, 'base64url').toString('utf8'))
  return header && 'alg' in header && typeof header.alg === 'string' ? header : undefined
}

function jsonObject(json: string): object | undefined {
  if (!json.includes('"alg"') || !json.trimEnd().endsWith('}')) return undefined
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Where `more` parts behind the dot at `dot` end, or as many as there are. */
function tokenEnd(text: Uint8Array, dot: number, limit: number, more: number): number {
  let end = dot
  for (let part = 0; part < more && end < limit; part++) end = partEnd(text, end + 1, limit)
  return end
}

/** The place of the dot behind the part that starts at `start`, or `limit`. */
function partEnd(text: Uint8Array, start: number, limit: number): number {
  let end = start
  while (end < limit && text[end] !== DOT) end++
  return end
}
