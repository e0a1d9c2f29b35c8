import type { Config } from './config/config.ts'
import type { TargetConfig } from './config/schema.ts'
import { staticLease } from './credentials/bearer.ts'
import { passwordLease } from './credentials/password.ts'
import { openDatabase } from './credentials/postgres-pool.ts'
import { postgresRole, type RoleCredential } from './credentials/postgres-role.ts'
import { trackLeases } from './credentials/track-leases.ts'
import type { Clock } from './gateway/clock.ts'
import type { SessionId } from './gateway/domain.ts'
import type { Secret } from './gateway/secret.ts'
import type { RoleRequest } from './credentials/profile-rights.ts'
import type { LeaseSource } from './grants/lease.ts'
import { httpConfig } from './protocols/http/config.ts'
import { httpTarget, type HttpTarget } from './protocols/http/http-target.ts'
import { catalogSource } from './protocols/postgres/catalog.ts'
import { viewFollower } from './protocols/postgres/view-lineage.ts'
import { postgresConfig, type PostgresConfig } from './protocols/postgres/config.ts'
import { isOpen, postgresTarget, type PostgresTarget } from './protocols/postgres/postgres-target.ts'
import type { SqlReader } from './sql/reader.ts'
import { startSqlReader } from './sql/worker-reader.ts'

/** How each protocol reads its part of a target in the config. */
export const PROTOCOLS = { postgres: postgresConfig, http: httpConfig }

export type GatewayConfig = Config<typeof PROTOCOLS>
export type TargetSettings = TargetConfig<typeof PROTOCOLS>

/** A target that was made ready, and what of the config it was made from. */
export type OpenTarget = AsyncDisposable & {
  readonly config: TargetSettings
  readonly target: PostgresTarget | HttpTarget
  /** None of its leases may be alive at the target any more. */
  readonly isSettled: () => boolean
}

export type TargetParts = {
  readonly installation: string
  readonly clock: Clock
  readonly isLive: (session: SessionId) => boolean
  /** Sessions, of whatever target, that have a lease or are getting one. */
  readonly leased: Set<SessionId>
  readonly warn: (line: string) => void
  /** Called when the last lease of a target is gone. */
  readonly settled: () => void
}

/**
 * Makes targets ready; connects to none of them yet. They share one reader of SQL, which knows each by its name: two
 * targets of one name must come from two calls.
 */
export function openTargets(configs: readonly TargetSettings[], parts: TargetParts): readonly OpenTarget[] {
  const reader = startSqlReader()
  let users = configs.length
  const leave = async (): Promise<void> => {
    users--
    if (users === 0) await reader[Symbol.asyncDispose]()
  }
  return configs.map((config) => {
    const { target, isSettled, ...opened } =
      config.protocol === 'http' ? openHttp(config, parts) : openPostgres(config, reader, parts)
    return {
      config,
      target,
      isSettled,
      [Symbol.asyncDispose]: async () => {
        await opened[Symbol.asyncDispose]()
        await leave()
      },
    }
  })
}

type Settings<P extends keyof typeof PROTOCOLS> = Extract<TargetSettings, { protocol: P }>
type Opened = Omit<OpenTarget, 'config'>

function openHttp({ name, settings }: Settings<'http'>, parts: TargetParts): Opened {
  const leases = trackLeases(staticLease(settings.lease), { ...parts, target: name })
  const target = httpTarget({ name, config: settings, leases })
  return { target, isSettled: leases.isSettled, [Symbol.asyncDispose]: () => target[Symbol.asyncDispose]() }
}

function openPostgres({ name, settings }: Settings<'postgres'>, reader: SqlReader, parts: TargetParts): Opened {
  const database = openDatabase({ url: settings.url, login: loginOf(settings), tls: tlsOf(settings) })
  const { sensitive } = settings
  const { query } = database
  const follow = viewFollower({ query, classes: Object.keys(sensitive), reader, target: name })
  const catalog = catalogSource({ query, sensitive, follow, clock: parts.clock, ownOnly: isOpen(settings) })
  const made = postgresTarget({ name, config: settings, leases: leasesOf(name, settings, parts), catalog, reader })
  const leases = trackLeases(made.leases, { ...parts, target: name })
  const target = { ...made, leases }
  return {
    target,
    isSettled: leases.isSettled,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([target[Symbol.asyncDispose](), database[Symbol.asyncDispose]()])
    },
  }
}

/** Where the credentials of a target come from. */
export function leasesOf(
  name: string,
  settings: PostgresConfig,
  parts: Pick<TargetParts, 'installation' | 'clock' | 'isLive'>,
): LeaseSource<RoleCredential, RoleRequest> {
  const { url, lease } = settings
  const tls = tlsOf(settings)
  if (lease.from === 'password') return passwordLease({ target: name, url, login: lease.url, tls })
  return postgresRole({
    target: name,
    url,
    tls,
    admin: lease.admin,
    memberOf: lease.memberOf,
    profile: lease.profile,
    owner: lease.owner,
    installation: parts.installation,
    clock: parts.clock,
    isLive: async (session) => parts.isLive(session),
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
