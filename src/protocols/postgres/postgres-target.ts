import type { RoleCredential } from '../../credentials/postgres-role.ts'
import type { RoleRequest } from '../../credentials/profile-rights.ts'
import type { Target } from '../../gateway/protocol.ts'
import { soon, type Soon } from '../../gateway/source.ts'
import type { Reading, ReadRequest, SqlReader } from '../../sql/reader.ts'
import type { Lease, LeaseRequest, LeaseSource } from '../../grants/lease.ts'
import type { PostgresConfig } from './config.ts'
import { profileRequests } from './profile-request.ts'
import { MovingNames } from './moving-names.ts'
import { TargetCatalog } from './target-catalog.ts'
import type { CatalogSource } from './catalog.ts'
import type { Sense } from './sense.ts'
import type { TargetTls } from './target-socket.ts'

/** A PostgreSQL database behind the gateway. A lease is taken only once its catalog can be read. */
export type PostgresTarget = Target<RoleCredential> & {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly tls: TargetTls
  readonly catalog: TargetCatalog
  /** Whose name a session has at it. */
  readonly applicationName: PostgresConfig['applicationName']
  /** What its sessions are doing to names. */
  readonly moving: MovingNames
  /** What a session creates has someone to belong to when the session's role is gone. */
  readonly keepsCreations: boolean
  /** Walls are matters of policy at it (docs/decisions/0021-walls-of-open-targets.md). */
  readonly open: boolean
  /** Reads a text of the role's session against the catalog as it is now. Throws Fault `target` when the catalog cannot be read. */
  read(request: Omit<ReadRequest, 'temporary' | 'inference' | 'open'>, role: string): Soon<Reading>
  /** What readings mean, as far as it does not depend on the session. */
  readonly senses: WeakMap<Reading, Sense>
}

export type PostgresParts = {
  readonly name: string
  readonly config: PostgresConfig
  readonly leases: LeaseSource<RoleCredential, RoleRequest>
  readonly catalog: CatalogSource
  readonly reader: SqlReader
}

export function postgresTarget({ name, config, leases, catalog: source, reader }: PostgresParts): PostgresTarget {
  const open = isOpen(config)
  const catalog = new TargetCatalog(source, name, open)
  let learned: string | undefined
  return {
    name,
    resource: { type: 'Target', id: name },
    leases: { ...leases, take: takerOf(config, leases, catalog) },
    classes: Object.keys(config.sensitive),
    detect: config.detect,
    host: config.host,
    port: config.port,
    database: config.database,
    tls: { ...config.tls, host: config.host },
    catalog,
    applicationName: config.applicationName,
    moving: new MovingNames(),
    keepsCreations: config.lease.from === 'password' || config.lease.owner !== undefined,
    open,
    senses: new WeakMap(),
    read: (request, role) =>
      soon(catalog.get(), (now) => {
        if (now.version !== learned) reader.learn(name, now)
        learned = now.version
        const { inference } = config
        return reader.read({ ...request, inference, open, temporary: catalog.temporaryOf(role) })
      }),
    [Symbol.asyncDispose]: () => leases[Symbol.asyncDispose](),
  }
}

/** Nothing of it is hidden from anybody, and its sessions run as a role that the operator made, with rights as he gave them. */
export function isOpen({ lease, sensitive, detect }: PostgresConfig): boolean {
  return lease.from === 'password' && Object.keys(sensitive).length === 0 && detect.length === 0
}

/** A lease with a profile is of the catalog as it is now: what it stumbled over is no longer in the next one. */
function takerOf(
  { lease }: PostgresConfig,
  leases: PostgresParts['leases'],
  catalog: TargetCatalog,
): (request: LeaseRequest) => Promise<Lease<RoleCredential>> {
  const profile = lease.from === 'postgres-role' ? lease.profile : undefined
  if (profile === undefined) return async (request) => (await catalog.get()) && leases.take(request)
  const requestOf = profileRequests(profile)
  return async (request) => {
    const now = await catalog.get()
    try {
      return await leases.take({ ...request, profile: requestOf(now, request.hidden) })
    } catch (error) {
      catalog.expire()
      throw error
    }
  }
}
