import { Fault } from '../gateway/fault.ts'
import type { LeaseRequest, Revocation } from '../grants/lease.ts'
import { lookFor, makeSnapshot } from './make-snapshot.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database } from './postgres-pool.ts'
import { lockSnapshot, snapshotOf, usableRights } from './profile.ts'
import type { Profile, ProfileRequest, SnapshotScope } from './profile.ts'
import { sweepSnapshots } from './sweep-snapshots.ts'

/** What a session's role is made with. */
export type SessionRights = {
  /** `server_version_num`. */
  readonly version: number
  readonly memberOf: readonly string[]
  readonly lock?: string
  /** The schema with the masked views of the relations that it cannot read as they are. */
  readonly masked?: string
}

/** A request for a session's role. */
export type RoleRequest = LeaseRequest & {
  /** What the target's catalog comes to for this session; only a lease with a profile asks for it. */
  readonly profile?: ProfileRequest
}

export interface RightsSource {
  take(request: RoleRequest): Promise<SessionRights>
  /** Drops what no session needs any more; what was dropped, and what could not be. */
  sweep(): Promise<readonly { readonly name: string; readonly revocation: Revocation }[]>
}

/** The rights of roles that somebody made. */
export function memberRights(memberOf: readonly string[], database: Database): RightsSource {
  return {
    take: async () => ({ version: await serverVersion(database.query), memberOf }),
    sweep: async () => [],
  }
}

export type ProfileRightsOptions = {
  readonly profile: Profile
  readonly scope: SnapshotScope
  readonly database: Database
  readonly standIn: (typeOid: number) => string | undefined
}

/** Rights by column, made by the gateway. `take` throws Fault `target` where the wall does not stand. */
export function profileRights(options: ProfileRightsOptions): RightsSource {
  const { database, scope } = options
  /** For each set of classes and rights the hash of the snapshot that was asked for last. */
  const current = new Map<string, string>()
  return {
    take: (request) => take(options, current, request),
    sweep: () => sweepSnapshots(database, scope, (hash) => [...current.values()].includes(hash)),
  }
}

async function take(
  options: ProfileRightsOptions,
  current: Map<string, string>,
  { profile: request, possible, target }: RoleRequest,
): Promise<SessionRights> {
  const { database, profile, scope } = options
  if (request === undefined) throw new Fault('target', `The catalog of target ${target} is not known.`)
  const rights = usableRights(profile, possible)
  const snapshot = snapshotOf(scope, rights, request)
  current.set(JSON.stringify([[...request.classes].sort(), rights]), snapshot.hash)
  const { version, isMade } = await lookFor(database.query, snapshot, request)
  if (!isMade && (await makeSnapshot(options, snapshot, rights, request))) request.made()
  return { version, memberOf: [snapshot.role], lock: lockSnapshot(snapshot, '_shared'), masked: snapshot.schema }
}
