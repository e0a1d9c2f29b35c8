import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Identity } from '../gateway/domain.ts'
import { isOperator, isOverseer, type AdminGroups } from './access.ts'
import { guarded, type AdminEnv } from './gate.ts'
import { iso } from './present.ts'
import { forbidden, problemAnswer } from './problem.ts'
import { ConfigShape, type ConfigJson } from './shapes.ts'

/** How it stands with the config and the policies. Times are ms since the epoch. */
export type ConfigStatus = {
  /** Hash of the policies in force. */
  readonly policy: string
  readonly since: number
  readonly changed: readonly string[]
  readonly refused?: { readonly at: number; readonly errors: readonly string[] }
}

export type ConfigRoutesOptions = {
  readonly admin: AdminGroups
  readonly reloading: { status(): ConfigStatus; reload(): Promise<ConfigStatus> }
}

const answers = (description: string) => ({
  200: { description, content: { 'application/json': { schema: ConfigShape } } },
  401: problemAnswer('No good token'),
  403: problemAnswer('Not allowed'),
})

const getting = createRoute({
  method: 'get',
  path: '/api/v1/config',
  summary: 'How it stands with the config and the policies. For operators and auditors',
  security: [{ bearer: [] }],
  middleware: guarded('config.get'),
  responses: answers('What is in force, and why the last change was refused if it was'),
})

const reloading = createRoute({
  method: 'post',
  path: '/api/v1/config/reload',
  summary: 'Put the config and the policies into force as the files are now. For operators',
  security: [{ bearer: [] }],
  middleware: guarded('config.reload'),
  request: { body: { content: { 'application/json': { schema: z.strictObject({}) } } } },
  responses: answers('How it stands after that; with `refused` when it was refused'),
})

export function addConfigRoutes(app: OpenAPIHono<AdminEnv>, options: ConfigRoutesOptions): void {
  const answer = async (who: Identity, allowed: typeof isOperator, status: () => Promise<ConfigStatus>) =>
    allowed(who, options.admin) ? present(await status()) : undefined
  app.openapi(getting, async (c) => {
    const body = await answer(c.var.identity, isOverseer, async () => options.reloading.status())
    return body ? c.json(body, 200) : forbidden('The config is for operators and auditors.')
  })
  app.openapi(reloading, async (c) => {
    const body = await answer(c.var.identity, isOperator, () => options.reloading.reload())
    return body ? c.json(body, 200) : forbidden('Only operators may reload the config.')
  })
}

function present({ policy, since, changed, refused }: ConfigStatus): ConfigJson {
  return {
    policy,
    since: iso(since),
    changed: [...changed],
    ...(refused && { refused: { at: iso(refused.at), errors: [...refused.errors] } }),
  }
}
