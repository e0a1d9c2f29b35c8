import { createHash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import type { Operation, OperationId, Refusal, Resource, Touch } from '../../gateway/domain.ts'
import { valuesOf, type Fields } from '../../http/fields.ts'
import { bodyKind } from '../../http/media-type.ts'
import type { HttpRequest } from './client.ts'

/** Every method that exists for policies; any other is `http.unknown`, which no rule can allow. */
const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['GET', 'http.get'],
  ['HEAD', 'http.get'],
  ['OPTIONS', 'http.get'],
  ['POST', 'http.post'],
  ['PUT', 'http.put'],
  ['PATCH', 'http.patch'],
  ['DELETE', 'http.delete'],
])

/** Different each time a program asks for the same: no part of what is approved, and not recorded. */
const INERT =
  /^(?:user-agent|date|traceparent|tracestate|baggage|x-request-id|x-correlation-id|idempotency-key|accept-language|cache-control|pragma|priority|referer|origin|dnt|sec-.*)$/
/** Its value may be a credential: the record has its digest. */
const CONFIDENTIAL = /cookie|auth|token|secret|key|passw|session|credential|signature/

/** What a request would do: one action on one path. */
export function requestOperation(id: OperationId, target: string, request: HttpRequest): Operation {
  const { method, path, body } = request
  const action = ACTIONS.get(method) ?? 'http.unknown'
  const fields = request.fields.filter(([name]) => !INERT.test(name))
  const shown = fields.map(([name, value]) => `\n${name}: ${CONFIDENTIAL.test(name) ? sealed(value) : value}`)
  const sum = createHash('sha256')
    .update(JSON.stringify([target, method, path, fields]))
    .update('\0')
    .update(body)
  return {
    id,
    stage: 'execute',
    touches: [touch(action, resourceOf(target, request.segments), request)],
    text: `${method} ${path}${shown.join('')}${body.length > 0 ? `\n\n${bodyText(request.fields, body)}` : ''}`,
    digest: sum.digest('hex'),
    effect: action === 'http.get' ? 'none' : 'final',
    inTransaction: false,
  }
}

/** A request that is refused whatever the policies say: recorded as it came, its body by its digest. */
export function refusedOperation(
  id: OperationId,
  target: string,
  raw: { readonly method: string; readonly url: string; readonly body: Buffer },
  objection: Refusal,
): Operation {
  const { method, url, body } = raw
  const facts = { unbounded: true, args: {}, own: {} }
  return {
    id,
    stage: 'execute',
    touches: [{ action: 'http.unknown', resource: { type: 'Target', id: target }, facts }],
    text: `${method} ${url}`,
    digest: createHash('sha256')
      .update(JSON.stringify([target, method, url]))
      .update('\0')
      .update(body)
      .digest('hex'),
    effect: 'none',
    inTransaction: false,
    objection,
  }
}

function touch(action: string, resource: Resource, { method, parameters }: HttpRequest): Touch {
  const queries = Object.entries(parameters).map(([name, value]) => [`/query/${pointer(name)}`, value])
  return {
    action,
    resource,
    facts: { unbounded: false, args: { '/method': method, ...Object.fromEntries(queries) }, own: {} },
  }
}

/** Path `billing/v1/invoices` in Path `billing/v1` in Target `billing`. */
function resourceOf(target: string, segments: readonly string[]): Resource {
  const root: Resource = { type: 'Target', id: target }
  return segments.reduce((parent, segment) => ({ type: 'Path', id: `${parent.id}/${segment}`, parent }), root)
}

/** RFC 6901 section 3. */
function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function bodyText(fields: Fields, body: Buffer): string {
  const [type] = valuesOf(fields, 'content-type')
  const encoded = valuesOf(fields, 'content-encoding').length > 0
  if (bodyKind(type) !== 'binary' && !encoded && isUtf8(body) && !body.includes(0)) return body.toString('utf8')
  return `[${body.length} bytes, SHA-256 ${createHash('sha256').update(body).digest('hex')}]`
}

function sealed(value: string): string {
  return `[SHA-256 ${createHash('sha256').update(value, 'latin1').digest('hex')}]`
}
