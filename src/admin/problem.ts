import { z } from '@hono/zod-openapi'
import type { TypedResponse } from 'hono'
import type { Refusal } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'

export type ProblemStatus = 400 | 401 | 403 | 404 | 409 | 413 | 415 | 429 | 500 | 503

const TITLES: Record<ProblemStatus, string> = {
  400: 'The request cannot be read',
  401: 'Who are you?',
  403: 'Not allowed',
  404: 'There is no such thing',
  409: 'Not any more',
  413: 'The request is too large',
  415: 'The body must be JSON',
  429: 'Too many',
  500: 'Something broke',
  503: 'Not available',
}

/** RFC 9457 problem details; the refusal's members are extension members. */
export const Problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    v: z.literal(1),
    code: z.string(),
    message: z.string(),
    retry: z.enum(['never', 'after-approval', 'after-change', 'later']),
    remedy: z.array(z.record(z.string(), z.string())),
    operation: z.string().optional(),
    approval: z.object({ id: z.string(), url: z.string(), expires_at: z.string() }).optional(),
  })
  .openapi('Problem')

/** An answer that the routes' types know as a problem of that status. */
export type ProblemResponse<S extends ProblemStatus> = S extends ProblemStatus
  ? Response & TypedResponse<z.infer<typeof Problem>, S, 'json'>
  : never

/** The answer to what is refused or broken. A 401 carries the challenge of RFC 6750 section 3. */
export function problem<S extends ProblemStatus>(status: S, refusal: Refusal): ProblemResponse<S> {
  const body = { type: 'about:blank', title: TITLES[status], status, detail: refusal.message, ...refusal }
  const headers = {
    'content-type': 'application/problem+json',
    ...(status === 401 && { 'www-authenticate': 'Bearer realm="sallyport"' }),
  }
  return Response.json(body, { status, headers }) as ProblemResponse<S>
}

export function notFound(what: string): ProblemResponse<404> {
  return problem(404, refuse('denied', `There is no ${what}, or it is not yours to see.`, [], { retry: 'never' }))
}

export function forbidden(message: string): ProblemResponse<403> {
  return problem(403, refuse('denied', message, [], { retry: 'never' }))
}

export function unreadable(message: string): ProblemResponse<400> {
  return problem(400, refuse('unreadable', message))
}

/** How routes declare their problems in the OpenAPI document. */
export function problemAnswer<const D extends string>(description: D) {
  return { description, content: { 'application/problem+json': { schema: Problem } } } as const
}
