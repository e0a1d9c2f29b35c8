import * as z from 'zod'
import { unknownKeyTexts } from './issues.ts'

/** A mapping in which every other key is an error that names the nearest known one. */
export function keys<S extends z.core.$ZodLooseShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? unknownKeyTexts(issue.keys, known) : undefined),
  })
}

/** A key that the documentation knows and this version does not: an error, never ignored. */
export const notBuilt = z.never('is not built yet').optional()

/** `notBuilt` for each of these keys. */
export function notBuiltKeys<K extends string>(names: readonly K[]): Record<K, typeof notBuilt> {
  return Object.fromEntries(names.map((name) => [name, notBuilt])) as Record<K, typeof notBuilt>
}

/** Text that is not empty, at most 1,000 characters, without control characters. */
export const text = z
  .string()
  .min(1, 'must not be empty')
  .max(1000, 'is longer than 1,000 characters')
  .refine((value) => !/\p{Cc}/u.test(value), 'must not contain control characters')

/** Text is read by `plain`, a mapping or list by `nested`; the errors are those of the form used. */
export function either<A, B>(plain: z.ZodType<A>, nested: z.ZodType<B>, neither: string): z.ZodType<A | B> {
  const none = z.never(neither)
  return z.unknown().transform((value, context): A | B => {
    const scalar = typeof value === 'string' ? plain : none
    const result = (typeof value === 'object' && value !== null ? nested : scalar).safeParse(value)
    if (result.success) return result.data
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue)
    return z.NEVER
  })
}

/** Runs `check` even when other parts are wrong, so that all errors are told at once. It must bear any value. */
export function always<T extends z.ZodType>(schema: T, check: (value: unknown, report: Report) => void): T {
  const checked = z.superRefine<unknown>((value, context) => {
    check(value, (path, message) => context.addIssue({ code: 'custom', path: [...path], message }))
  })
  checked._zod.def.when = () => true
  return schema.check(checked)
}

export type Report = (path: readonly (string | number)[], message: string) => void

/** Reports every item of a list whose `identify` an earlier one has too. */
export function distinct(identify: (item: unknown) => string | undefined, key: string, message: string) {
  return (list: unknown, report: Report): void => {
    if (!Array.isArray(list)) return
    const seen = new Set<string>()
    for (const [index, item] of list.entries()) {
      const identity = identify(item)
      if (identity === undefined) continue
      if (seen.has(identity)) report([index, key], message)
      seen.add(identity)
    }
  }
}

/** The text under `key` of a value of unknown shape. */
export function textIn(value: unknown, key: string): string | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  const member = (value as Record<string, unknown>)[key]
  return typeof member === 'string' ? member : undefined
}

/** Host (no brackets) and port, 0 for any free one. */
export type Endpoint = { readonly host: string; readonly port: number }

/** `host:port`, `[::1]:port`. */
export const endpoint: z.ZodType<Endpoint> = z.string().transform((value, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(value)
  const port = Number(match?.[3])
  if (match && port <= 65535) return { host: (match[1] ?? match[2])!, port }
  context.addIssue({ code: 'custom', message: 'must be host:port, for example 127.0.0.1:5433 or [::1]:5433' })
  return z.NEVER
})
