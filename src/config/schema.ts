import { statSync } from 'node:fs'
import * as z from 'zod'
import type { ReadContext } from './references.ts'
import {
  always,
  distinct,
  either,
  type Endpoint,
  endpoint,
  keys,
  notBuilt,
  notBuiltKeys,
  text,
  textIn,
} from './fields.ts'
import { providers } from './providers.ts'

/** How each protocol reads its own part of a target: a zod schema, made with what can read secrets and files. */
export type Protocols = Readonly<Record<string, (read: ReadContext) => z.ZodType>>

/** Where a listener listens, and where clients reach it when that differs. */
export type Listen = { readonly at: Endpoint; readonly public?: Endpoint }

/** One target; `settings` is what the schema of its protocol gives. */
export type TargetConfig<P extends Protocols> = {
  [K in keyof P & string]: {
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
    readonly protocol: K
    readonly settings: z.output<ReturnType<P[K]>>
  }
}[keyof P & string]

const KNOWN_PROTOCOLS = ['postgres', 'mysql', 'http', 'kubernetes', 'aws', 'mcp'] as const
const RESERVED_NAMES = ['mcp', 'api', 'oauth', 'saml']

const place = either<Listen, Listen>(
  endpoint.transform((at): Listen => ({ at })),
  keys({ at: endpoint, public: endpoint.optional() }),
  'must be host:port, or a mapping with at and public',
)
const listenAt = (fallback: Endpoint) => place.default({ at: fallback })

const listen = keys({
  admin: listenAt({ host: '127.0.0.1', port: 8420 }),
  postgres: listenAt({ host: '127.0.0.1', port: 5433 }),
  http: place.optional(),
  ...notBuiltKeys(['mysql', 'kubernetes', 'aws', 'mcp']),
})

const webUrl = text.refine((value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const web = url?.protocol === 'https:' || url?.protocol === 'http:'
  return web && url?.username === '' && url.password === '' && url.search === '' && url.hash === ''
}, 'must be an https or http URL without user, password, query and fragment')

/** Unreserved in a URL (RFC 3986 section 2.3), and without what divides names: `.` before a database, `/` in policies. */
const targetName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,63}$/, 'must be letters, digits, "_" and "-", at most 63')
  .refine((name) => !RESERVED_NAMES.includes(name.toLowerCase()), `is reserved (${RESERVED_NAMES.join(', ')})`)

const labels = z.record(z.string().regex(/^[A-Za-z0-9._/-]{1,63}$/, 'is not a label name'), text)

function target<P extends Protocols>(read: ReadContext, protocols: P): z.ZodType<TargetConfig<P>> {
  const built = Object.entries(protocols).map(([name, part]) => [name, part(read).optional()])
  const unbuilt = KNOWN_PROTOCOLS.filter((name) => !Object.hasOwn(protocols, name))
  const fields = { name: targetName, labels: labels.default({}), ...notBuiltKeys(unbuilt) }
  const entry = keys({ ...fields, ...(Object.fromEntries(built) as Record<string, z.ZodType>) })
  const complete = always(entry, (value, report) => {
    if (typeof value !== 'object' || value === null) return
    const given = KNOWN_PROTOCOLS.filter((name) => Object.hasOwn(value, name))
    if (given.length !== 1) report([], `must have exactly one protocol (${Object.keys(protocols).join(', ')})`)
  })
  return complete.transform(({ name, labels, ...rest }) => {
    const [protocol, settings] = Object.entries(rest)[0]!
    return { name, labels, protocol, settings } as TargetConfig<P>
  })
}

const policies = (read: ReadContext): z.ZodType<string> => {
  return read.path.refine(
    (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
    'is not a directory',
  )
}

/** The whole file. Defaults are filled in, secrets read, paths absolute. */
export function configSchema<P extends Protocols>(read: ReadContext, protocols: P) {
  // Two names that only their case tells apart would be mistaken for each other by whoever reads policies.
  const byName = distinct((entry) => textIn(entry, 'name')?.toLowerCase(), 'name', 'another target has this name')
  const groups = z.array(text).default([])
  return keys({
    version: z.literal(1),
    url: webUrl.optional(),
    data: read.path.prefault('./sallyport-data'),
    tls: keys({ cert: read.content, key: read.content }).optional(),
    listen: listen.prefault({}),
    identity: providers(read).default([]),
    targets: always(z.array(target(read, protocols)), byName).default([]),
    policies: policies(read).optional(),
    admin: keys({ operators: groups, auditors: groups }).prefault({}),
    store: notBuilt,
    recordings: notBuilt,
  })
}
