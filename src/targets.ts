import type { Config } from './config/config.ts'
import { staticLease } from './credentials/bearer.ts'
import { passwordLease } from './credentials/password.ts'
import { openDatabase, type Database } from './credentials/postgres-pool.ts'
import { postgresRole, type RoleCredential } from './credentials/postgres-role.ts'
import type { Clock } from './gateway/clock.ts'
import type { SessionId } from './gateway/domain.ts'
import { reasonOf } from './gateway/fault.ts'
import type { Secret } from './gateway/secret.ts'
import type { Lease, LeaseSource, Revocation } from './grants/lease.ts'
import { httpConfig } from './protocols/http/config.ts'
import { httpTarget, type HttpTarget } from './protocols/http/http-target.ts'
import { catalogSource } from './protocols/postgres/catalog.ts'
import { postgresConfig, type PostgresConfig } from './protocols/postgres/config.ts'
import { postgresTarget, type PostgresTarget } from './protocols/postgres/postgres-target.ts'
import { startSqlReader } from './sql/worker-reader.ts'

/** How each protocol reads its part of a target in the config. */
export const PROTOCOLS = { postgres: postgresConfig, http: httpConfig }

/** The registered targets by name, those of each protocol apart, with what they share. */
export type Targets = AsyncDisposable & {
  readonly postgres: ReadonlyMap<string, PostgresTarget>
  readonly http: ReadonlyMap<string, HttpTarget>
}

type Parts = {
  readonly installation: string
  readonly clock: Clock
  readonly live: ReadonlyMap<SessionId, unknown>
}

/** Makes the targets of a config ready; connects to none of them yet. */
export function openTargets(
  config: Config<typeof PROTOCOLS>,
  parts: Parts & { readonly warn: (line: string) => void },
): Targets {
  const reader = startSqlReader()
  const databases: Database[] = []
  const postgres = new Map<string, PostgresTarget>()
  const http = new Map<string, HttpTarget>()
  for (const target of config.targets) {
    const { name } = target
    if (target.protocol === 'http') {
      const leases = watched(name, staticLease(target.settings.lease), parts.warn)
      http.set(name, httpTarget({ name, config: target.settings, leases }))
      continue
    }
    const { settings } = target
    const database = openDatabase({ url: settings.url, login: loginOf(settings), tls: tlsOf(settings) })
    databases.push(database)
    const catalog = catalogSource({ query: database.query, sensitive: settings.sensitive, clock: parts.clock })
    const leases = leasesOf(name, settings, parts)
    const made = postgresTarget({ name, config: settings, leases, catalog, reader })
    postgres.set(name, { ...made, leases: watched(name, made.leases, parts.warn) })
  }
  return {
    postgres,
    http,
    [Symbol.asyncDispose]: async () => {
      await disposeAll(...postgres.values(), ...http.values(), ...databases)
      await reader[Symbol.asyncDispose]()
    },
  }
}

/** Where the credentials of a target come from. */
export function leasesOf(name: string, settings: PostgresConfig, parts: Parts): LeaseSource<RoleCredential> {
  const { url, lease } = settings
  const tls = tlsOf(settings)
  if (lease.from === 'password') return passwordLease({ target: name, url, login: lease.url, tls })
  return postgresRole({
    target: name,
    url,
    tls,
    admin: lease.admin,
    memberOf: lease.memberOf,
    owner: lease.owner,
    installation: parts.installation,
    clock: parts.clock,
    isLive: async (session) => parts.live.has(session),
  })
}

/** A client hears that there is no credential, or nothing at all; an operator has to hear why. */
function watched<C>(name: string, leases: LeaseSource<C>, warn: (line: string) => void): LeaseSource<C> {
  const told = (what: string, error: unknown): void => warn(`target ${name}: ${what}: ${reasonOf(error)}`)
  return {
    ...leases,
    take: async (request) => {
      try {
        const lease = await leases.take(request)
        return { ...lease, revoke: () => watchedRevocation(lease, told) }
      } catch (error) {
        told('no credential could be made', error)
        throw error
      }
    },
  }
}

async function watchedRevocation(
  lease: Lease<unknown>,
  told: (what: string, error: unknown) => void,
): Promise<Revocation> {
  const revocation = await lease.revoke()
  if (!revocation.verified) told(`${lease.name} could not be revoked yet, and will be tried again`, revocation.error)
  return revocation
}

/** The login that reads the catalog. */
export function loginOf({ lease }: PostgresConfig): Secret {
  return lease.from === 'password' ? lease.url : lease.admin
}

/** The gateway's own connections verify what the sessions' connections verify. */
export function tlsOf({ tls: { mode, ca } }: PostgresConfig): false | { ca?: string; rejectUnauthorized: boolean } {
  if (mode === 'disable' || mode === 'prefer') return false
  return { ca, rejectUnauthorized: mode !== 'require' || ca !== undefined }
}

async function disposeAll(...parts: readonly AsyncDisposable[]): Promise<void> {
  await Promise.all(parts.map((part) => part[Symbol.asyncDispose]()))
}
