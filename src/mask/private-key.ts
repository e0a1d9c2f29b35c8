import { DASH, SPACE, standsAt } from './bytes.ts'
import type { Span } from './detector.ts'
import { byteSet, nextRun, runEnd } from './runs.ts'

const DASHES = byteSet('-')
/** Capitals, digits and spaces. */
const LABEL = byteSet('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ')
const LEAST_DASHES = 4
const LONGEST_LABEL = 64
const LABELS: readonly string[] = ['PRIVATE KEY', 'PRIVATE KEY BLOCK']

/**
 * Private keys as text (RFC 7468, PEM): all from `-----BEGIN … PRIVATE KEY-----` to the `-----END … PRIVATE KEY-----` behind
 * it, whatever is between: PKCS #8, encrypted or not, RSA, EC, DSA, OpenSSH; `PGP PRIVATE KEY BLOCK` (RFC 9580, 6.2) and
 * `---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----` likewise. A block without an end goes to the end of the text, or to a NUL.
 */
export function findPrivateKeys(text: Uint8Array, most = Infinity): readonly Span[] | undefined {
  let found: Span[] | undefined
  let limit = -1
  for (let at = 0; ;) {
    const begin = nextBoundary(text, at, text.length, 'BEGIN ')
    if (begin === undefined) return found
    if (limit < begin.end) limit = endOfText(text, begin.end)
    const end = nextBoundary(text, begin.closing, limit, 'END ')
    at = end?.closing ?? limit
    if ((found ??= []).push({ start: begin.start, end: end?.end ?? limit }) >= most) return found
  }
}

/** False when no piece of these bytes has the beginning of a private key in it. */
export function suspectsPrivateKey(bytes: Uint8Array): boolean {
  return nextBoundary(bytes, 0, bytes.length, 'BEGIN ') !== undefined
}

/** PostgreSQL ends its texts with NUL. */
function endOfText(text: Uint8Array, from: number): number {
  const nul = text.indexOf(0, from)
  return nul < 0 ? text.length : nul
}

/**
 * A line that begins or ends a private key, with all of its dashes. Those from `closing` on may also be the first of the
 * next line.
 */
type Boundary = Span & { readonly closing: number }

function nextBoundary(text: Uint8Array, from: number, to: number, word: string): Boundary | undefined {
  for (let start = nextRun(text, from, LEAST_DASHES, DASHES); start >= 0 && start < to;) {
    const end = runEnd(text, start, DASHES)
    const closing = closingDash(text, end, word)
    if (closing > 0) return { start, closing, end: runEnd(text, closing, DASHES) }
    start = nextRun(text, end, LEAST_DASHES, DASHES)
  }
  return undefined
}

/** Where the last dashes begin of the line whose first dashes end at `at`; 0 when it is another line. */
function closingDash(text: Uint8Array, at: number, word: string): number {
  const start = text[at] === SPACE ? at + 1 : at
  if (!standsAt(text, start, word)) return 0
  let end = start + word.length
  while (end - start < LONGEST_LABEL && LABEL[text[end]!] === 1) end++
  const last = text[end - 1] === SPACE ? end - 1 : end
  return text[end] === DASH && LABELS.some((label) => standsAt(text, last - label.length, label)) ? end : 0
}
