import * as z from 'zod'
import { keys, notBuilt } from '../../config/fields.ts'
import type { ReadContext } from '../../config/references.ts'
import type { StaticLogin } from '../../credentials/bearer.ts'
import type { Secret } from '../../gateway/secret.ts'
import { parseJsonPath, type JsonPath } from '../../http/json-path.ts'
import { DETECTOR_NAMES, type DetectorName } from '../../mask/detectors.ts'

/** The `http` part of a target (docs/reference/config.md). */
export type HttpConfig = {
  /** No user, password, query or fragment; its path stands before every path of a client. */
  readonly url: URL
  readonly lease: StaticLogin
  /** Data class to values in JSON answers. */
  readonly sensitive: Readonly<Record<string, readonly JsonPath[]>>
  readonly detect: readonly DetectorName[]
  /** PEM text. */
  readonly ca?: string
}

const url = z.string().transform((value, context): URL => {
  const read = URL.canParse(value) ? new URL(value) : undefined
  const problem = read === undefined ? 'must be an https or http URL' : urlProblem(read)
  if (problem === undefined) return read!
  context.addIssue({ code: 'custom', message: problem })
  return z.NEVER
})

/** Never repeats the URL: it may hold a password. */
function urlProblem(read: URL): string | undefined {
  if (read.protocol !== 'https:' && read.protocol !== 'http:') return 'must be an https or http URL'
  if (read.username !== '' || read.password !== '')
    return 'must not contain a user or password: credentials belong in lease'
  if (read.search !== '' || read.hash !== '') return 'must not contain a query or fragment'
  return undefined
}

const path = z.string().transform((value, context): JsonPath => {
  const read = parseJsonPath(value)
  if (read !== undefined) return read
  const message = 'must be a JSON path of member names, [n] and [*], such as $.customers[*].email'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

const className = z.string().regex(/^[a-z0-9_-]{1,63}$/, 'must be lower-case letters, digits, "_" and "-"')

/** RFC 9110 section 5.6.2 `token`. */
const fieldName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^`|~-]{1,100}$/, 'must be the name of a header')
  .transform((name) => name.toLowerCase())
  .refine((name) => !OWN.includes(name), 'is a header of the message itself')
const OWN = ['host', 'connection', 'content-length', 'content-type', 'transfer-encoding', 'cookie']

function lease(read: ReadContext): z.ZodType<StaticLogin> {
  const value = read.secret.refine(isFieldValue, 'the secret must be printable ASCII on one line')
  const login = value.refine((secret) => secret.reveal().includes(':'), 'the secret must be user:password')
  return keys({
    bearer: value.optional(),
    basic: login.optional(),
    header: keys({ name: fieldName, value }).optional(),
    'oauth-client': notBuilt,
  })
    .refine((given) => Object.keys(given).length === 1, 'must be exactly one of bearer, basic, header')
    .transform(({ bearer, basic, header }): StaticLogin => {
      if (bearer) return { from: 'bearer', token: bearer }
      return basic ? { from: 'basic', login: basic } : { from: 'header', ...header! }
    })
}

function isFieldValue(secret: Secret): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(secret.reveal())
}

/** The schema of a target's `http` part. */
export function httpConfig(read: ReadContext): z.ZodType<HttpConfig> {
  return keys({
    url,
    lease: lease(read),
    sensitive: z.record(className, z.array(path)).default({}),
    detect: z.array(z.enum(DETECTOR_NAMES as [DetectorName, ...DetectorName[]])).default([]),
    ca: read.content.optional(),
  })
}
