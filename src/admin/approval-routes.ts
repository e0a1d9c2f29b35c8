import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Approval, Approvals, Vote } from '../approvals/approvals.ts'
import type { ApprovalId, Identity } from '../gateway/domain.ts'
import { sightOf, type AdminGroups } from './access.ts'
import { guarded, type AdminEnv } from './gate.ts'
import { presentApproval, presentStanding } from './present.ts'
import { notFound, problem, problemAnswer } from './problem.ts'
import {
  ApprovalShape,
  ApprovalStateShape,
  Ballot,
  WholeApproval,
  type ApprovalJson,
  type StandingJson,
} from './shapes.ts'

export type ApprovalRoutesOptions = {
  readonly approvals: Approvals
  readonly admin: AdminGroups
  /** How people reach this gateway: `url` of the config. */
  readonly url: string
}

const Id = z.strictObject({ id: z.string().regex(/^apr_[0-9a-f-]{36}$/) })
const refusals = {
  400: problemAnswer('The request cannot be read'),
  401: problemAnswer('No good token'),
  403: problemAnswer('Not allowed'),
}

const listing = createRoute({
  method: 'get',
  path: '/api/v1/approvals',
  summary: 'Approvals you may see, the newest first',
  security: [{ bearer: [] }],
  middleware: guarded('approvals.list'),
  request: { query: z.strictObject({ state: ApprovalStateShape.optional() }) },
  responses: {
    200: {
      description: 'Agents and workloads see only how their own stand',
      content: { 'application/json': { schema: z.object({ approvals: z.array(ApprovalShape) }) } },
    },
    ...refusals,
  },
})

const getting = createRoute({
  method: 'get',
  path: '/api/v1/approvals/{id}',
  summary: 'One approval',
  security: [{ bearer: [] }],
  middleware: guarded('approvals.get'),
  request: { params: Id },
  responses: {
    200: { description: 'The approval', content: { 'application/json': { schema: ApprovalShape } } },
    404: problemAnswer('There is none, or it is not yours to see'),
    ...refusals,
  },
})

function voting(vote: Vote['vote']) {
  return createRoute({
    method: 'post',
    path: `/api/v1/approvals/{id}/${vote}`,
    summary: `${vote === 'approve' ? 'Approve' : 'Reject'} the held operation. People only, never their own`,
    security: [{ bearer: [] }],
    middleware: guarded('approvals.vote'),
    request: { params: Id, body: { content: { 'application/json': { schema: Ballot } } } },
    responses: {
      200: {
        description: 'The approval after the vote',
        content: { 'application/json': { schema: WholeApproval } },
      },
      404: problemAnswer('There is none'),
      409: problemAnswer('It is settled, or you have voted'),
      ...refusals,
    },
  })
}

export function addApprovalRoutes(app: OpenAPIHono<AdminEnv>, options: ApprovalRoutesOptions): void {
  const { approvals } = options
  app.openapi(listing, async (c) => {
    const all = await approvals.list(c.req.valid('query').state)
    return c.json({ approvals: all.flatMap((approval) => seen(approval, c.var.identity, options) ?? []) }, 200)
  })
  app.openapi(getting, async (c) => {
    const approval = await approvals.find(c.req.valid('param').id as ApprovalId)
    const body = approval && seen(approval, c.var.identity, options)
    return body === undefined ? notFound('such approval') : c.json(body, 200)
  })
  for (const vote of ['approve', 'reject'] as const) {
    app.openapi(voting(vote), async (c) => {
      const id = c.req.valid('param').id as ApprovalId
      const result = await approvals.vote(id, c.var.identity, vote, c.req.valid('json').reason)
      if ('refusal' in result) return problem(result.status, result.refusal)
      return c.json(presentApproval(result.approval, options.url), 200)
    })
  }
}

function seen(
  approval: Approval,
  identity: Identity,
  { admin, url }: ApprovalRoutesOptions,
): ApprovalJson | StandingJson | undefined {
  const sight = sightOf(approval, identity, admin)
  if (sight === 'whole') return presentApproval(approval, url)
  return sight === 'state' ? presentStanding(approval) : undefined
}
