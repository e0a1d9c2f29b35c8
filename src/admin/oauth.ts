import type { HttpBindings } from '@hono/node-server'
import { Hono, type Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { JWK } from 'jose'
import { Fault } from '../gateway/fault.ts'
import type { Exchange, Exchanged } from '../identity/exchange.ts'
import { type ExchangeError, invalid, readExchange, TOKEN_EXCHANGE } from '../identity/exchange-request.ts'
import { secureHeaders } from './gate.ts'
import { notFound } from './problem.ts'

export type TokenServiceOptions = {
  readonly exchange: Exchange
  /** Stores what came of an exchange. Throws Fault when it cannot: then no token is given. */
  readonly record: (exchanged: Exchanged, client: string) => Promise<void>
  /** How people and clients reach this gateway. */
  readonly url: string
  /** `iss` and `aud` of its tokens. */
  readonly issuer: string
  readonly publicKey: JWK
  /** Told of what was thrown while a request was answered. */
  readonly log?: (error: unknown) => void
}

/** First segments of the paths that it answers, wherever it is served. */
export const TOKEN_SEGMENTS: readonly string[] = ['oauth', '.well-known']

/** Two tokens of 16 KiB, with room. */
const MAX_BODY = 64 * 1024
const FORM = /^application\/x-www-form-urlencoded *(;|$)/i
const UNAVAILABLE: ExchangeError = {
  error: 'temporarily_unavailable',
  description: 'The gateway cannot give a token now.',
}

type Env = { Bindings: Partial<HttpBindings> }

/** Token exchange and its metadata: all of it is asked without a token of one's own. */
export function createTokenService(options: TokenServiceOptions): Hono<Env> {
  const { publicKey, log } = options
  const app = new Hono<Env>()
  app.onError((error) => {
    log?.(error)
    return failed(UNAVAILABLE, error instanceof Fault ? 503 : 500)
  })
  app.notFound(() => notFound('such path'))
  app.use('/oauth/*', secureHeaders)
  app.use('/.well-known/*', secureHeaders)
  app.get('/.well-known/oauth-authorization-server', (c) => c.json(metadataOf(options.url)))
  app.get('/oauth/jwks', (c) => c.json({ keys: [publicKey] }))
  app.post('/oauth/token', small, (c) => answer(c, options))
  return app
}

const small = bodyLimit({ maxSize: MAX_BODY, onError: () => failed(invalid('The body is larger than 64 KiB.'), 413) })

/** RFC 8414 section 2. */
function metadataOf(url: string): object {
  const base = url.replace(/\/+$/, '')
  return {
    issuer: base,
    token_endpoint: `${base}/oauth/token`,
    jwks_uri: `${base}/oauth/jwks`,
    grant_types_supported: [TOKEN_EXCHANGE],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none'],
  }
}

type Answer = (request: Request, env: HttpBindings) => Response | Promise<Response>

/** Answers its own paths, and leaves all others to `rest`. */
export function besides(tokens: Hono<Env>, rest: Answer): Answer {
  return (request, env) => {
    const [, segment = ''] = new URL(request.url).pathname.split('/')
    return TOKEN_SEGMENTS.includes(segment) ? tokens.fetch(request, env) : rest(request, env)
  }
}

async function answer(c: Context<Env>, { exchange, record, url, issuer }: TokenServiceOptions): Promise<Response> {
  if (!FORM.test(c.req.header('content-type') ?? '')) {
    return failed(invalid('The body must be application/x-www-form-urlencoded.'))
  }
  const base = url.replace(/\/+$/, '')
  const request = readExchange(await c.req.text(), [issuer, base, `${base}/`])
  if ('error' in request) return failed(request)
  const exchanged = await exchange(request)
  await record(exchanged, clientOf(c))
  if ('error' in exchanged) return failed(exchanged)
  const { token, expiresAt, issuedAt } = exchanged.issued
  const expiresIn = (expiresAt - issuedAt) / 1000
  const body = {
    access_token: token,
    issued_token_type: request.issuedType,
    token_type: 'Bearer',
    expires_in: expiresIn,
  }
  return Response.json(body, { headers: NO_STORE })
}

/** RFC 6749 section 5.1. */
const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' }

/** RFC 6749 section 5.2: `error_description` is ASCII without quotes and backslashes. */
function failed({ error, description }: ExchangeError, status = error === UNAVAILABLE.error ? 503 : 400): Response {
  const error_description = description.replaceAll('"', "'").replaceAll(/[^\x20-\x7e]|\\/g, '?')
  return Response.json({ error, error_description }, { status, headers: NO_STORE })
}

function clientOf({ env }: Context<Env>): string {
  const socket = env?.incoming?.socket
  return socket === undefined ? '' : `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`
}
