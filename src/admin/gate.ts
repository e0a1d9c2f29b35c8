import { bodyLimit } from 'hono/body-limit'
import { createMiddleware } from 'hono/factory'
import type { Identity } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Authenticate } from '../identity/authenticate.ts'
import { mayCall, type Route } from './access.ts'
import { forbidden, problem } from './problem.ts'

/** What every handler behind the gate can rely on. */
export type AdminEnv = { Variables: { identity: Identity } }

/** All that is answered without a token. */
const OPEN: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/api/v1/openapi.json'])
const MAX_TOKEN = 16 * 1024
const MAX_BODY = 64 * 1024

/** RFC 6750 section 2.1: the header only, never the URL or the body. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

const HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
}

/** Nothing of an answer is kept, framed, sniffed or run by a browser. */
export const secureHeaders = createMiddleware(async (c, next) => {
  await next()
  for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value)
})

/** The one place where a request gets its identity. */
export function authenticated(authenticate: Authenticate) {
  return createMiddleware<AdminEnv>(async (c, next) => {
    if (OPEN.has(c.req.path)) return next()
    const token = bearerOf(c.req.header('authorization'))
    if (token === undefined) return problem(401, refuse('identity', 'A bearer token is needed.'))
    const result = await authenticate(token)
    if ('refusal' in result) return problem(result.refusal.code === 'identity' ? 401 : 503, result.refusal)
    c.set('identity', result.identity)
    return next()
  })
}

/** Before anything of the request is read, let alone looked up. */
export function guarded(route: Route) {
  return createMiddleware<AdminEnv>(async (c, next) => {
    if (!mayCall(route, c.var.identity)) return forbidden('Only a person, in their own name, may do this.')
    return next()
  })
}

export const smallBodies = bodyLimit({
  maxSize: MAX_BODY,
  onError: () => problem(413, refuse('too_large', 'The body is larger than 64 KiB.')),
})

function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_TOKEN + 16) return undefined
  return BEARER.exec(header)?.[1]
}
