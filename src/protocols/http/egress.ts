import { isUtf8 } from 'node:buffer'
import { Fault } from '../../gateway/fault.ts'
import type { Outcome, Part } from '../../gateway/exchange.ts'
import { refuse } from '../../gateway/refusals.ts'
import { listed, valuesOf } from '../../http/fields.ts'
import { encodeHead, type Head } from '../../http/head.ts'
import { isAt, type JsonPath } from '../../http/json-path.ts'
import { bodyKind, essence, isSearchable } from '../../http/media-type.ts'
import { rewriteJson } from '../../http/rewrite-json.ts'
import type { Masker } from '../../mask/masker.ts'
import type { Echo } from './echo.ts'
import type { HttpTarget } from './http-target.ts'
import { problem } from './refusal.ts'

/** Everything that leaves a target passes through a filter: one for each answer. */
export type Filter = { readonly target: HttpTarget; readonly echo: Echo }

/** How an answer's body goes out: `whole` is held until it was searched, `stream` goes on as it comes. */
export type Passage = { readonly as: 'whole' | 'stream' } | { readonly as: 'refused'; readonly why: string }

/** The values of JSON answers that a session must not see. */
export function hiddenPaths({ sensitive }: HttpTarget, masker: Masker): readonly JsonPath[] {
  return Object.entries(sensitive).flatMap(([name, paths]) => (masker.hides([name]) ? paths : []))
}

/** What cannot be searched does not pass: an answer in another form would show what is hidden in JSON. */
export function passageOf({ fields }: Head, target: HttpTarget, masker: Masker): Passage {
  const [type] = valuesOf(fields, 'content-type')
  const kind = bodyKind(type)
  const encodings = [...listed(fields, 'content-encoding')].filter((name) => name !== 'identity')
  if (encodings.length > 0) return { as: 'refused', why: 'is compressed though it was asked not to be' }
  const hides = hiddenPaths(target, masker).length > 0
  if (!hides && (!masker.detects || kind === 'binary')) return { as: 'stream' }
  if (hides && kind !== 'json') {
    const named = essence(type) || 'of no known type'
    return { as: 'refused', why: `is ${named}, in which hidden values cannot be told from others` }
  }
  if (essence(type) === 'text/event-stream')
    return { as: 'refused', why: 'is a stream of events, which cannot be searched' }
  return isSearchable(type) ? { as: 'whole' } : { as: 'refused', why: 'is in a character set that cannot be searched' }
}

/** Head and body at once. A body that turns out not to be searchable is not shown. */
export function wholePart(head: Head, body: Buffer, filter: Filter, outcome: Outcome): Part {
  const mask = (masker: Masker): Uint8Array => {
    const shown = maskBody(head, filter.echo.hide(body), filter.target, masker)
    if (shown === undefined) return refusedBytes('is no JSON')
    const length = ['content-length', String(shown.length)] as const
    const fields = head.fields.filter(([name]) => name !== 'content-length')
    return Buffer.concat([maskHead({ status: head.status, fields: [...fields, length] }, filter, masker), shown])
  }
  return { mask, bookkeeping: false, outcome }
}

/** The head of an answer whose body follows in chunks, or has none. */
export function headPart(head: Head, filter: Filter, outcome?: Outcome): Part {
  return { mask: (masker) => maskHead(head, filter, masker), bookkeeping: false, outcome }
}

export function chunkPart(chunk: Buffer, { echo }: Filter): Part {
  return { mask: () => echo.push(chunk), bookkeeping: false }
}

/** The end of an answer that came in chunks. */
export function lastPart({ echo }: Filter, outcome: Outcome): Part {
  return { mask: () => echo.end(), bookkeeping: false, outcome }
}

/** What the gateway says instead of an answer: the request may well have been carried out. */
export function insteadPart(bytes: Uint8Array, outcome: Outcome): Part {
  return { mask: () => bytes, bookkeeping: false, outcome }
}

/** In place of an answer that may not be shown. */
export function refusedBytes(why: string): Uint8Array {
  const message = `The target has answered, but its answer ${why}: it is withheld. What was asked for may have been done.`
  const hint = 'Ask for plain JSON (Accept: application/json).'
  const said = problem(refuse('unavailable', message, [{ do: 'change', hint }], { retry: 'after-change' }), 502)
  return Buffer.concat([encodeHead(said), said.body])
}

function maskBody({ fields }: Head, body: Buffer, target: HttpTarget, masker: Masker): Buffer | undefined {
  const paths = hiddenPaths(target, masker)
  if (body.length === 0 || (paths.length === 0 && !masker.detects)) return body
  if (bodyKind(valuesOf(fields, 'content-type')[0]) !== 'json') return Buffer.from(masker.text(body) ?? body)
  if (!isUtf8(body)) return undefined
  try {
    const text = body.toString('utf8').replace(/^\ufeff/, '')
    const rewriting = {
      hides: (place: readonly (string | number)[]) => paths.some((path) => isAt(path, place)),
      scalar: (value: string) => (masker.detects ? maskText(value, masker) : undefined),
    }
    return Buffer.from(rewriteJson(text, rewriting))
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}

function maskText(value: string, masker: Masker): string | undefined {
  const masked = masker.text(Buffer.from(value, 'utf8'))
  return masked && Buffer.from(masked).toString('utf8')
}

function maskHead({ status, fields }: Head, { echo }: Filter, masker: Masker): Buffer {
  const shown = fields.map(([name, value]): [string, string] => {
    if (name === 'content-length') return [name, value]
    const bytes = echo.hide(Buffer.from(value, 'latin1'))
    const masked = masker.detects ? masker.text(bytes) : undefined
    return [name, Buffer.from(masked ?? bytes).toString('latin1')]
  })
  return encodeHead({ status, fields: shown })
}
