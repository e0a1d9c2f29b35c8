import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Clock } from '../gateway/clock.ts'
import type { GrantId, Identity, Refusal } from '../gateway/domain.ts'
import type { GrantDesk } from '../gateway/grant-desk.ts'
import { identityId, requesterKey } from '../gateway/identity.ts'
import { refuse } from '../gateway/refusals.ts'
import type { AskedGrant, Grants } from '../grants/grants.ts'
import { isOverseer, mayEndGrant, maySeeGrant, type AdminGroups } from './access.ts'
import { guarded, type AdminEnv } from './gate.ts'
import { durationMs, GivenGrantShape, GrantAsked, GrantShape, type Connecting, type GrantJson } from './grant-shapes.ts'
import { holdStream } from './hold-stream.ts'
import { iso, presentIdentity } from './present.ts'
import { forbidden, notFound, problem, problemAnswer } from './problem.ts'

export type GrantRoutesOptions = {
  readonly grants: Pick<Grants, 'find' | 'list'>
  readonly desk: Pick<GrantDesk, 'request' | 'end' | 'hold'>
  readonly admin: AdminGroups
  /** How clients connect to a target. */
  readonly connecting: (target: string) => Connecting | undefined
  readonly clock: Clock
}

const params = z.strictObject({ id: z.string().regex(/^grt_[0-9a-f-]{36}$/) })
const security = [{ bearer: [] }]
const one = { 'application/json': { schema: GrantShape } }
const refusals = {
  400: problemAnswer('The request cannot be read'),
  401: problemAnswer('No good token'),
  403: problemAnswer('Not allowed'),
}
const none = { 404: problemAnswer('There is none, or it is not yours to see') }

const requesting = createRoute({
  method: 'post',
  path: '/api/v1/grants',
  summary: 'Ask for a grant: as long as asked for, and no longer than policy and your token let it',
  security,
  middleware: guarded('grants.request'),
  request: { body: { required: true, content: { 'application/json': { schema: GrantAsked } } } },
  responses: {
    201: { description: 'The grant, and its password', content: { 'application/json': { schema: GivenGrantShape } } },
    ...refusals,
    429: problemAnswer('You have too many'),
    503: problemAnswer('Nothing is given now'),
  },
})

const listing = createRoute({
  method: 'get',
  path: '/api/v1/grants',
  summary: 'Your grants, the newest first; with `all`, those of everybody, for operators and auditors',
  security,
  middleware: guarded('grants.list'),
  request: {
    query: z.strictObject({ all: z.enum(['true', 'false']).optional(), live: z.enum(['true', 'false']).optional() }),
  },
  responses: {
    200: {
      description: 'Grants that were asked for',
      content: { 'application/json': { schema: z.object({ grants: z.array(GrantShape) }) } },
    },
    ...refusals,
  },
})

const getting = createRoute({
  method: 'get',
  path: '/api/v1/grants/{id}',
  summary: 'One grant',
  security,
  middleware: guarded('grants.get'),
  request: { params },
  responses: { 200: { description: 'The grant', content: one }, ...none, ...refusals },
})

const ending = createRoute({
  method: 'delete',
  path: '/api/v1/grants/{id}',
  summary: 'End a grant and its sessions: your own; any, for operators',
  security,
  middleware: guarded('grants.end'),
  request: { params },
  responses: { 200: { description: 'The grant, ended', content: one }, ...none, ...refusals },
})

const holding = createRoute({
  method: 'get',
  path: '/api/v1/grants/{id}/hold',
  summary: 'Hold your grant: it ends when this answer breaks off, and this answer when it ends',
  security,
  middleware: guarded('grants.hold'),
  request: { params },
  responses: {
    200: { description: 'application/jsonl: a line every five seconds, and a last one that says why the grant ended' },
    ...none,
    409: problemAnswer('It is held already, or has ended'),
    ...refusals,
  },
})

/** Grants that are asked for. Agents and workloads see and end their own only. */
export function addGrantRoutes(app: OpenAPIHono<AdminEnv>, options: GrantRoutesOptions): void {
  const { grants, desk, admin, clock } = options
  const present = (grant: AskedGrant): GrantJson => presentGrant(grant, clock.now())
  const find = async (id: string, may: typeof maySeeGrant, identity: Identity): Promise<AskedGrant | undefined> => {
    const grant = await grants.find(id as GrantId)
    return grant && may(grant, identity, admin) ? grant : undefined
  }
  app.openapi(requesting, async (c) => {
    const { for: asked, ...wish } = c.req.valid('json')
    const forMs = asked === undefined ? undefined : durationMs(asked)
    const given = await desk.request(c.var.identity, { ...wish, ...(forMs !== undefined && { forMs }) })
    if ('refusal' in given) return problem(statusOf(given.refusal), given.refusal)
    const { grant, password } = given
    const connect = options.connecting(grant.target)
    if (!connect) return notFoundAnyMore()
    return c.json({ ...present(grant), user: grant.id, password, connect }, 201)
  })
  app.openapi(listing, async (c) => {
    const { all, live } = c.req.valid('query')
    const { identity } = c.var
    const everybody = all === 'true'
    if (everybody && !isOverseer(identity, admin)) return forbidden('The grants of all are for operators and auditors.')
    const found = await grants.list({ ...(!everybody && { of: identity }), ...(live === 'true' && { live: true }) })
    return c.json({ grants: found.map(present) }, 200)
  })
  app.openapi(getting, async (c) => {
    const grant = await find(c.req.valid('param').id, maySeeGrant, c.var.identity)
    return grant ? c.json(present(grant), 200) : notFound('such grant')
  })
  app.openapi(ending, async (c) => {
    const { identity } = c.var
    const grant = await find(c.req.valid('param').id, mayEndGrant, identity)
    if (!grant) return notFound('such grant')
    const ended = await desk.end(grant.id, `revoked by ${identityId(identity)}`)
    return c.json(present(ended ?? (await grants.find(grant.id)) ?? grant), 200)
  })
  app.openapi(holding, async (c) => {
    const { identity } = c.var
    const grant = await find(c.req.valid('param').id, maySeeGrant, identity)
    if (!grant || requesterKey(grant.who) !== requesterKey(identity)) return notFound('such grant')
    const held = isLive(grant, clock.now()) ? await desk.hold(grant.id) : undefined
    if (!held) return problem(409, refuse('grant', `Grant ${grant.id} is held already, or has ended.`))
    return c.body(holdStream(grant.id, held, { clock, left: c.req.raw.signal }), 200, {
      'content-type': 'application/jsonl',
    })
  })
}

function isLive({ ended, expiresAt }: AskedGrant, now: number): boolean {
  return !ended && expiresAt > now
}

function presentGrant(grant: AskedGrant, now: number): GrantJson {
  const { id, who, target, purpose, operations, openedAt, expiresAt, ended } = grant
  const over = ended ?? (isLive(grant, now) ? undefined : { at: expiresAt, reason: 'expired' })
  return {
    id,
    state: over ? 'ended' : 'live',
    identity: presentIdentity(who),
    target,
    purpose,
    ...(operations && { operations: [...operations] }),
    opened_at: iso(openedAt),
    expires_at: iso(expiresAt),
    ...(over && { ended_at: iso(over.at), reason: over.reason }),
  }
}

function statusOf({ code }: Refusal): 400 | 401 | 403 | 429 | 503 {
  if (code === 'unreadable') return 400
  if (code === 'identity') return 401
  if (code === 'budget') return 429
  return code === 'unavailable' || code === 'unrecordable' ? 503 : 403
}

/** The target was removed while it was asked for. */
function notFoundAnyMore(): ReturnType<typeof problem<503>> {
  return problem(503, refuse('unavailable', 'The target has just been removed.'))
}
