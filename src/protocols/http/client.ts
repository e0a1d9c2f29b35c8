import type { IncomingMessage } from 'node:http'
import type { Refusal } from '../../gateway/domain.ts'
import { refuse } from '../../gateway/refusals.ts'
import { endToEnd, fieldsOf, listed, valuesOf, type Fields } from '../../http/fields.ts'
import { readPath } from '../../http/path.ts'
import { readQuery } from '../../http/query.ts'

/** Where a request goes: `/billing/v1/invoices?year=2026` is the rest `/v1/invoices?year=2026` of the target `billing`. */
export type Place = { readonly target: string; readonly rest: string }

/** A request read once: policy, record and target get this same value. */
export type HttpRequest = {
  readonly method: string
  /** Below the target's URL, with the query. */
  readonly path: string
  readonly segments: readonly string[]
  readonly parameters: Readonly<Record<string, string>>
  /** What the target gets, without the gateway's own. */
  readonly fields: Fields
  readonly body: Buffer
}

/** Two of these are two meanings. */
const SINGLE = [
  'host',
  'authorization',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'expect',
]
/** They change the method or path that was decided on, at servers that obey them. */
const OVERRIDES = /^x-(?:http-method|http-method-override|method-override|original-url|original-uri|rewrite-url)$/
/** Said by the gateway itself, or by nobody. */
const NOT_FORWARDED =
  /^(?:host|authorization|content-length|expect|accept-encoding|forwarded|via|x-real-ip|x-client-ip|true-client-ip|(?:x-(?:forwarded|sallyport|remote)|sec-websocket)-.*)$/
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/

/**
 * The token of `Authorization: Bearer` (RFC 6750 section 2.1), or why there is none. User and password of a grant
 * (`Basic`, RFC 7617) are the token `user.password`.
 */
export function bearerToken(fields: Fields): { readonly token: string } | { readonly refusal: Refusal } {
  const given = valuesOf(fields, 'authorization')
  if (given.length > 1) return { refusal: unreadable('it has two Authorization headers') }
  const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(given[0] ?? '')?.[1]
  if (token !== undefined) return { token }
  const basic = basicGrant(given[0] ?? '')
  if (basic !== undefined) return { token: basic }
  const message = given.length === 0 ? 'The request has no token.' : 'The Authorization header is no bearer token.'
  return { refusal: refuse('identity', message, [{ do: 'change', hint: 'Send Authorization: Bearer <token>.' }]) }
}

function basicGrant(authorization: string): string | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const [, user, password] = /^(grt_[^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString('utf8')) ?? []
  return user === undefined ? undefined : `${user}.${password}`
}

/** Which target a request is for. */
export function readPlace({ url = '', rawHeaders }: IncomingMessage): Place | { readonly refusal: Refusal } {
  const target = originForm(url, valuesOf(fieldsOf(rawHeaders), 'host'))
  const [, name, rest = ''] = /^\/([A-Za-z0-9_-]{1,63})(?![^/?])(.*)$/s.exec(target ?? '') ?? []
  if (name === undefined)
    return { refusal: unreadable('it is for another host, or its path does not begin with the name of a target') }
  return { target: name, rest: rest.startsWith('/') ? rest : `/${rest}` }
}

/** The first segment of a request's path, as it came. */
export function firstSegment({ url = '' }: IncomingMessage): string {
  return /^\/([^/?]*)/.exec(url)?.[1] ?? ''
}

/** RFC 9112 section 3.2.2: an absolute-form names this host, or is for somebody else. */
function originForm(url: string, hosts: readonly string[]): string | undefined {
  if (hosts.length !== 1) return undefined
  const [, authority, rest] = /^https?:\/\/([^/?]*)(.*)$/is.exec(url) ?? []
  if (authority === undefined) return url
  return authority.toLowerCase() === hosts[0]!.toLowerCase() ? rest : undefined
}

/** The rest of a request, or what is wrong with it. */
export function readRequest(
  method: string,
  rest: string,
  fields: Fields,
  body: Buffer,
): HttpRequest | { readonly refusal: Refusal } {
  const wrong = fieldProblem(fields)
  if (wrong !== undefined) return { refusal: unreadable(wrong) }
  const mark = rest.indexOf('?')
  const path = readPath(mark < 0 ? rest : rest.slice(0, mark))
  if ('problem' in path) return { refusal: unreadable(path.problem) }
  const query = readQuery(mark < 0 ? '' : rest.slice(mark + 1))
  if ('problem' in query) return { refusal: unreadable(query.problem) }
  if (Object.hasOwn(query.parameters, '_method'))
    return { refusal: unreadable('it would have its method replaced (_method)') }
  return {
    method,
    path: query.text === '' ? path.path : `${path.path}?${query.text}`,
    segments: path.segments,
    parameters: query.parameters,
    fields: endToEnd(fields).filter(([name]) => !NOT_FORWARDED.test(name) && !name.includes('_')),
    body,
  }
}

function fieldProblem(fields: Fields): string | undefined {
  const names = fields.map(([name]) => name)
  const twice = SINGLE.find((name) => names.indexOf(name) !== names.lastIndexOf(name))
  if (twice !== undefined) return `it has two ${twice} headers`
  const override = names.find((name) => OVERRIDES.test(name.replaceAll('_', '-')))
  if (override !== undefined) return `it would have its method or path replaced (${override})`
  const coding = valuesOf(fields, 'transfer-encoding')[0]?.toLowerCase()
  if (coding !== undefined && coding !== 'chunked') return 'it has a transfer coding other than chunked'
  const broken = fields.find(([, value]) => CONTROLS.test(value))
  return broken && `its header ${broken[0]} has control characters`
}

/** Whether the client would rather have a ticket than wait (RFC 7240 section 4.1). */
export function wantsTicket(fields: Fields): boolean {
  return listed(fields, 'prefer').has('respond-async')
}

function unreadable(problem: string): Refusal {
  const hint = 'Send it in its plain form.'
  return refuse('unreadable', `The request cannot be read: ${problem}.`, [{ do: 'change', hint }])
}
