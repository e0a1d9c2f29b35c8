import { z } from '@hono/zod-openapi'
import { printable } from '../gateway/printable.ts'
import { IdentityShape } from './shapes.ts'

/** Longest time that can be asked for. */
const LONGEST_MS = 168 * 3_600_000
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 }

/** `45s`, `15m`, `1h` in ms; undefined for anything else, nothing, and more than 168h. */
export function durationMs(text: string): number | undefined {
  const [, amount, unit] = /^([1-9]\d{0,6})([smh])$/.exec(text) ?? []
  const ms = Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN)
  return ms <= LONGEST_MS ? ms : undefined
}

/** Text that a terminal shows as it is. */
const plain = (text: string): boolean => printable(text) === text

export const GrantAsked = z
  .strictObject({
    target: z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, 'must be the name of a target'),
    purpose: z
      .string()
      .trim()
      .min(1, 'say what it is for')
      .max(500, 'is longer than 500 characters')
      .refine(plain, 'must be plain text on one line'),
    for: z
      .string()
      .refine((text) => durationMs(text) !== undefined, 'must be a time of at most 168h: 45s, 15m, 1h')
      .optional()
      .openapi({ example: '15m' }),
    operations: z
      .array(z.string().regex(/^[a-z][a-z0-9_.]{0,63}$/, 'must be names such as sql.select or read'))
      .min(1)
      .max(100)
      .optional()
      .openapi({ example: ['sql.select', 'session'] }),
  })
  .openapi('GrantAsked')

const Grant = {
  id: z.string(),
  state: z.enum(['live', 'ended']),
  identity: IdentityShape,
  target: z.string(),
  purpose: z.string(),
  operations: z.array(z.string()).optional(),
  opened_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
  ended_at: z.iso.datetime().optional(),
  reason: z.string().optional(),
}

export const GrantShape = z.object(Grant).openapi('Grant')

export const ConnectingShape = z
  .union([
    z.object({ protocol: z.literal('postgres'), host: z.string(), port: z.number().int(), dbname: z.string() }),
    z.object({ protocol: z.literal('http'), url: z.string() }),
  ])
  .openapi('Connecting')

export const GivenGrantShape = z
  .object({ ...Grant, user: z.string(), password: z.string(), connect: ConnectingShape })
  .openapi('GivenGrant', { description: 'The password is told once, here.' })

export type GrantJson = z.infer<typeof GrantShape>
export type Connecting = z.infer<typeof ConnectingShape>
