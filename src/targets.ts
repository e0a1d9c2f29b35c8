import type { Config } from './config/config.ts'
import { passwordLease } from './credentials/password.ts'
import { openDatabase } from './credentials/postgres-pool.ts'
import { postgresRole, type RoleCredential } from './credentials/postgres-role.ts'
import type { Clock } from './gateway/clock.ts'
import type { SessionId } from './gateway/domain.ts'
import type { Secret } from './gateway/secret.ts'
import type { LeaseSource } from './grants/lease.ts'
import { catalogSource } from './protocols/postgres/catalog.ts'
import { postgresConfig, type PostgresConfig } from './protocols/postgres/config.ts'
import { postgresTarget, type PostgresTarget } from './protocols/postgres/postgres-target.ts'
import { startSqlReader } from './sql/worker-reader.ts'

/** How each protocol reads its part of a target in the config. */
export const PROTOCOLS = { postgres: postgresConfig }

/** The registered targets by name, with what they share. */
export type Targets = AsyncDisposable & { readonly byName: ReadonlyMap<string, PostgresTarget> }

type Parts = {
  readonly installation: string
  readonly clock: Clock
  readonly live: ReadonlyMap<SessionId, unknown>
}

/** Makes the targets of a config ready; connects to none of them yet. */
export function openTargets(config: Config<typeof PROTOCOLS>, parts: Parts): Targets {
  const reader = startSqlReader()
  const opened = config.targets.map(({ name, settings }) => {
    const database = openDatabase({ url: settings.url, login: loginOf(settings), tls: tlsOf(settings) })
    const catalog = catalogSource({ query: database.query, sensitive: settings.sensitive, clock: parts.clock })
    const leases = leasesOf(name, settings, parts)
    return { database, target: postgresTarget({ name, config: settings, leases, catalog, reader }) }
  })
  return {
    byName: new Map(opened.map(({ target }) => [target.name, target])),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(opened.map(({ target, database }) => disposeAll(target, database)))
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
