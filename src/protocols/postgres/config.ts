import * as z from 'zod'
import type { ReadContext } from '../../config/references.ts'
import type { Profile } from '../../credentials/profile.ts'
import type { Secret } from '../../gateway/secret.ts'
import { keys, notBuilt } from '../../config/fields.ts'
import { unknownText } from '../../config/issues.ts'
import { isLoopback } from '../../config/loopback.ts'
import { DETECTOR_NAMES, type DetectorName } from '../../mask/detectors.ts'
import type { Inference } from '../../sql/reader.ts'

/** How the connection to the target is secured, in libpq's words (PostgreSQL manual, 32.19 SSL Support). */
export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** Where credentials of this target come from; both secrets are connection URLs. */
export type PostgresLease =
  | {
      readonly from: 'postgres-role'
      readonly admin: Secret
      /** Roles that a session's role is made a member of. */
      readonly memberOf: readonly string[]
      /** Instead: the rights that it is given by the gateway itself. `memberOf` is empty then. */
      readonly profile?: Profile
      /** Who owns what a session creates; absent: sessions cannot create. */
      readonly owner?: string
    }
  | { readonly from: 'password'; readonly url: Secret }

/** The `postgres` part of a target (docs/reference/config.md). */
export type PostgresConfig = {
  /** As configured: no user, password or parameters. */
  readonly url: string
  /** Without brackets. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly lease: PostgresLease
  /** Data class to columns, each `schema.table.column`. */
  readonly sensitive: Readonly<Record<string, readonly string[]>>
  readonly detect: readonly DetectorName[]
  /** Whether columns that an identity may not see may be used in predicates, ordering and grouping. */
  readonly inference: Inference
  /** Whose `application_name` a session has: the client's own, or one that tells whose session it is. */
  readonly applicationName: 'client' | 'session'
  /** `ca` is PEM text. */
  readonly tls: { readonly mode: SslMode; readonly ca?: string }
}

type Place = Pick<PostgresConfig, 'url' | 'host' | 'port' | 'database'>

const place = z.string().transform((value, context): Place => {
  const read = readPlace(value)
  if ('place' in read) return read.place
  context.addIssue({ code: 'custom', message: read.problem })
  return z.NEVER
})

/** The problem never repeats the URL: it may hold a password. */
function readPlace(value: string): { readonly place: Place } | { readonly problem: string } {
  const url = postgresUrl(value)
  if (url === undefined) return { problem: 'must be postgresql://host:port/database' }
  if (url.password !== '') return { problem: 'must not contain a password: credentials belong in lease' }
  if (url.username !== '') return { problem: 'must not contain a user: credentials belong in lease' }
  if (url.search !== '' || url.hash !== '') return { problem: 'must not contain parameters: use sslmode and ca' }
  const database = decoded(url.pathname.slice(1))
  if (database === undefined || !isName(database)) return { problem: 'must end with the name of a database' }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { place: { url: value, host, port: url.port === '' ? 5432 : Number(url.port), database } }
}

function postgresUrl(value: string): URL | undefined {
  if (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) return undefined
  const url = new URL(value)
  return /^[A-Za-z0-9._-]+$|^\[[0-9a-fA-F:.]+\]$/.test(url.hostname) ? url : undefined
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** A name of the target: 1 to 63 bytes (NAMEDATALEN - 1), no control characters. */
function isName(value: string): boolean {
  const bytes = Buffer.byteLength(value)
  return bytes >= 1 && bytes <= 63 && !/\p{Cc}/u.test(value)
}

const name = z.string().refine(isName, 'must be a name of 1 to 63 bytes')

const column = z
  .string()
  .refine(
    (value) => value.split('.').length === 3 && value.split('.').every(isName),
    'must be schema.table.column, as the catalog spells them',
  )

const className = z.string().regex(/^[a-z0-9_-]{1,63}$/, 'must be lower-case letters, digits, "_" and "-"')

const detector = z.string().transform((value, context): DetectorName => {
  const known = DETECTOR_NAMES.find((name) => name === value)
  if (known !== undefined) return known
  context.addIssue({ code: 'custom', message: unknownText('unknown detector', value, DETECTOR_NAMES) })
  return z.NEVER
})

const INFERENCES: readonly Inference[] = ['none', 'equality', 'any']

const inference = z.string().transform((value, context): Inference => {
  const known = INFERENCES.find((each) => each === value)
  if (known !== undefined) return known
  context.addIssue({ code: 'custom', message: unknownText('unknown value', value, INFERENCES) })
  return z.NEVER
})

const schema = name.refine(
  (value) => !/^pg_|^information_schema$/.test(value),
  'must be a schema of the database itself',
)

const profile: z.ZodType<Profile> = keys({
  schemas: z.array(schema).min(1, 'must name a schema'),
  rights: z.array(z.enum(['select', 'insert', 'update', 'delete'])).min(1, 'must name a right'),
})

function lease(read: ReadContext): z.ZodType<PostgresLease> {
  const connectionUrl = read.secret.refine((secret) => {
    const url = postgresUrl(secret.reveal())
    return url !== undefined && url.username !== ''
  }, 'the secret must be a connection URL, postgresql://user:password@host:port/database')
  const role = keys({
    admin: connectionUrl,
    member_of: z.array(name).min(1, 'must name a role').optional(),
    owner: name.optional(),
    profile: profile.optional(),
  }).refine(
    (given) => (given.member_of === undefined) !== (given.profile === undefined),
    'must have exactly one of member_of, profile',
  )
  return keys({ 'postgres-role': role.optional(), password: connectionUrl.optional(), 'rds-iam': notBuilt })
    .refine((given) => Object.keys(given).length === 1, 'must be exactly one of postgres-role, password')
    .transform(({ 'postgres-role': role, password }): PostgresLease => {
      if (role) {
        const { admin, member_of: memberOf = [], ...rest } = role
        return { from: 'postgres-role', admin, memberOf, ...rest }
      }
      return { from: 'password', url: password! }
    })
}

/** The schema of a target's `postgres` part. */
export function postgresConfig(read: ReadContext): z.ZodType<PostgresConfig> {
  return keys({
    url: place,
    lease: lease(read),
    sensitive: z.record(className, z.array(column)).default({}),
    detect: z.array(detector).default([]),
    inference: inference.default('none'),
    application_name: z.enum(['client', 'session']).default('client'),
    ca: read.content.optional(),
    sslmode: z.enum(['disable', 'require', 'verify-ca', 'verify-full']).optional(),
  })
    .superRefine(({ ca, sslmode }, context) => {
      if (ca === undefined || (sslmode !== 'disable' && sslmode !== 'require')) return
      context.addIssue({ code: 'custom', path: ['ca'], message: `does nothing with sslmode ${sslmode}` })
    })
    .superRefine(({ lease, inference }, context) => {
      if (lease.from !== 'postgres-role' || lease.profile === undefined || inference === 'none') return
      const message = 'the wall of a profile needs inference: none; use member_of'
      context.addIssue({ code: 'custom', path: ['inference'], message })
    })
    .transform(({ url: place, ca, sslmode, application_name: applicationName, ...rest }) => {
      return { ...place, ...rest, applicationName, tls: { mode: sslmode ?? defaultMode(place.host, ca), ca } }
    })
}

/** Verified, except where the connection cannot leave this machine and nothing to verify with is given. */
function defaultMode(host: string, ca: string | undefined): SslMode {
  return ca === undefined && isLoopback(host) ? 'prefer' : 'verify-full'
}
