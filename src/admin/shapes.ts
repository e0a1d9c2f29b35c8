import { z } from '@hono/zod-openapi'

const Person = {
  id: z.string().openapi({ example: 'corp/ann' }),
  kind: z.enum(['User', 'Agent', 'Workload']),
  person: z.string().optional(),
}

/** An identity as the API shows it; `act` is whom it acts for. */
export type IdentityJson = {
  id: string
  kind: 'User' | 'Agent' | 'Workload'
  person?: string
  act?: IdentityJson
}

export const IdentityShape: z.ZodType<IdentityJson> = z
  .object({
    ...Person,
    get act() {
      return IdentityShape.optional()
    },
  })
  .openapi('Identity')

export const ApprovalStateShape = z.enum(['pending', 'approved', 'rejected', 'expired', 'withdrawn', 'spent'])

export const WholeApproval = z
  .object({
    id: z.string(),
    state: ApprovalStateShape,
    operation: z.string(),
    session: z.string(),
    target: z.string(),
    requester: IdentityShape,
    text: z.string(),
    parameters: z.array(z.string().nullable()),
    digest: z.string(),
    touches: z.array(z.string()),
    rules: z.array(z.string()),
    groups: z.array(z.string()),
    quorum: z.number().int(),
    votes: z.array(
      z.object({
        by: z.string(),
        vote: z.enum(['approve', 'reject']),
        reason: z.string().optional(),
        at: z.iso.datetime(),
      }),
    ),
    preview: z.object({ rows_estimate: z.number().optional(), note: z.string().optional() }).optional(),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    url: z.string(),
  })
  .openapi('Approval')

export const ApprovalStanding = z
  .object({
    id: z.string(),
    state: ApprovalStateShape,
    operation: z.string(),
    expires_at: z.iso.datetime(),
    reason: z.string().optional(),
  })
  .openapi('ApprovalStanding', { description: 'What an agent or workload sees of its own approval.' })

export const ApprovalShape = z.union([WholeApproval, ApprovalStanding])

export const SessionShape = z
  .object({
    id: z.string(),
    target: z.string(),
    protocol: z.string(),
    identity: z.string(),
    kind: z.string(),
    person: z.string().optional(),
    grant: z.string(),
    lease: z.string(),
    client: z.string(),
    application: z.string().optional(),
    opened_at: z.iso.datetime(),
    closed_at: z.iso.datetime().optional(),
    close_reason: z.string().optional(),
    first_seq: z.number().int(),
    last_seq: z.number().int(),
    operations: z.number().int(),
  })
  .openapi('Session')

export const WhoAmI = z
  .object({
    ...Person,
    act: IdentityShape.optional(),
    groups: z.array(z.string()),
    expires_at: z.iso.datetime(),
    operator: z.boolean(),
    auditor: z.boolean(),
  })
  .openapi('WhoAmI')

export const ConfigShape = z
  .object({
    policy: z.string(),
    since: z.iso.datetime(),
    changed: z.array(z.string()),
    refused: z.object({ at: z.iso.datetime(), errors: z.array(z.string()) }).optional(),
  })
  .openapi('Config')

export const Ballot = z.strictObject({ reason: z.string().trim().min(1).max(1_000).optional() }).openapi('Ballot')

export type ApprovalJson = z.infer<typeof WholeApproval>
export type StandingJson = z.infer<typeof ApprovalStanding>
export type ConfigJson = z.infer<typeof ConfigShape>
export type SessionJson = z.infer<typeof SessionShape>
