import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import { refuse } from '../gateway/refusals.ts'
import { Fault } from '../gateway/fault.ts'
import type { Authenticate } from '../identity/authenticate.ts'
import { isPerson } from '../gateway/identity.ts'
import type { SessionsIndex } from '../store/sessions-index.ts'
import { maySeeSessions } from './access.ts'
import { addApprovalRoutes, type ApprovalRoutesOptions } from './approval-routes.ts'
import { addConfigRoutes, type ConfigRoutesOptions } from './config-routes.ts'
import { addGrantRoutes, type GrantRoutesOptions } from './grant-routes.ts'
import { authenticated, guarded, secureHeaders, smallBodies, type AdminEnv } from './gate.ts'
import { iso, presentIdentity, presentSession } from './present.ts'
import { forbidden, notFound, problem, problemAnswer, unreadable } from './problem.ts'
import { SessionShape, WhoAmI } from './shapes.ts'

export type AdminOptions = ApprovalRoutesOptions &
  ConfigRoutesOptions &
  GrantRoutesOptions & {
    readonly authenticate: Authenticate
    readonly sessions: Pick<SessionsIndex, 'list'>
    /** True when every listener accepts. */
    readonly readiness: () => boolean
    /** Told of what was thrown while a request was answered. */
    readonly log?: (error: unknown) => void
  }

const SECURITY = [{ bearer: [] }]

const whoami = createRoute({
  method: 'get',
  path: '/api/v1/whoami',
  summary: 'Who the token says you are',
  security: SECURITY,
  middleware: guarded('whoami'),
  responses: {
    200: { description: 'You', content: { 'application/json': { schema: WhoAmI } } },
    401: problemAnswer('No good token'),
  },
})

const sessionList = createRoute({
  method: 'get',
  path: '/api/v1/sessions',
  summary: 'Sessions, the newest first. For operators and auditors; anyone else with `identity`, their own',
  security: SECURITY,
  middleware: guarded('sessions.list'),
  request: {
    query: z.strictObject({
      live: z.enum(['true', 'false']).optional(),
      target: z.string().max(200).optional(),
      identity: z.string().max(1_000).optional(),
      limit: z.coerce.number().int().min(1).max(1_000).default(100),
    }),
  },
  responses: {
    200: {
      description: 'Sessions',
      content: { 'application/json': { schema: z.object({ sessions: z.array(SessionShape) }) } },
    },
    400: problemAnswer('The request cannot be read'),
    401: problemAnswer('No good token'),
    403: problemAnswer('Not allowed'),
  },
})

/** The API of `listen.admin`: who may call what is in `access.ts`, the shapes are in `shapes.ts`. */
export function createAdmin(options: AdminOptions): OpenAPIHono<AdminEnv> {
  const app = new OpenAPIHono<AdminEnv>({
    defaultHook: (result) => (result.success ? undefined : unreadable(z.prettifyError(result.error))),
  })
  app.onError((error) => failed(error, options.log))
  app.notFound(() => notFound('such path'))
  app.use(secureHeaders, authenticated(options.authenticate), smallBodies)
  addOpenRoutes(app, options)
  addApprovalRoutes(app, options)
  addGrantRoutes(app, options)
  addConfigRoutes(app, options)
  addOwnRoutes(app, options)
  return app
}

function addOpenRoutes(app: OpenAPIHono<AdminEnv>, { readiness, reloading }: AdminOptions): void {
  app.get('/healthz', (c) => c.json({ status: 'ok', ...(reloading.status().refused && { config: 'refused' }) }))
  app.get('/readyz', (c) => (readiness() ? c.json({ status: 'ready' }) : c.json({ status: 'not ready' }, 503)))
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  app.get('/api/v1/openapi.json', (c) =>
    c.json(app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'Sallyport', version: 'v1' } })),
  )
}

function addOwnRoutes(app: OpenAPIHono<AdminEnv>, { admin, sessions }: AdminOptions): void {
  app.openapi(whoami, (c) => {
    const { identity } = c.var
    const isIn = (groups: readonly string[]): boolean =>
      isPerson(identity) && groups.some((group) => identity.groups.includes(group))
    const body = {
      ...presentIdentity(identity),
      groups: [...identity.groups],
      expires_at: iso(identity.expiresAt),
      operator: isIn(admin.operators),
      auditor: isIn(admin.auditors),
    }
    return c.json(body, 200)
  })
  app.openapi(sessionList, async (c) => {
    const { live, ...filter } = c.req.valid('query')
    if (!maySeeSessions(c.var.identity, filter.identity, admin)) {
      return forbidden('Sessions are for operators and auditors; ask for your own with ?identity=.')
    }
    const found = await sessions.list({ ...filter, ...(live !== undefined && { live: live === 'true' }) })
    return c.json({ sessions: found.map(presentSession) }, 200)
  })
}

/** What is thrown is the gateway's own affair: the client learns that, not what. */
function failed(error: Error, log?: (error: unknown) => void): Response {
  if (error instanceof HTTPException && error.status < 500) {
    return error.status === 415
      ? problem(415, refuse('unreadable', 'The body must be application/json.'))
      : unreadable('The body is not JSON.')
  }
  log?.(error)
  const refusal = refuse('unavailable', 'The gateway cannot answer this now.')
  return problem(error instanceof Fault ? 503 : 500, refusal)
}
