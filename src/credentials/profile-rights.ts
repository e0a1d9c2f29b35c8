import { Fault } from '../gateway/fault.ts'
import type { LeaseRequest, Revocation } from '../grants/lease.ts'
import { lookFor, makeProfile } from './make-profile.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database } from './postgres-pool.ts'
import { lockProfile, profileRole, usableRights } from './profile.ts'
import type { Profile, ProfileRequest, ProfileScope } from './profile.ts'
import { sweepProfiles } from './sweep-profiles.ts'

/** What a session's role is made with. */
export type SessionRights = {
  /** `server_version_num`. */
  readonly version: number
  readonly memberOf: readonly string[]
  readonly lock?: string
  /** It cannot read what is hidden. */
  readonly wall?: true
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
  readonly scope: ProfileScope
  readonly database: Database
}

/** Rights by column, made by the gateway. `take` throws Fault `target` where the wall does not stand. */
export function profileRights(options: ProfileRightsOptions): RightsSource {
  const { database, scope } = options
  /** For each set of classes and rights the role that was asked for last. */
  const current = new Map<string, string>()
  return {
    take: (request) => take(options, current, request),
    sweep: () => sweepProfiles(database, scope, (role) => [...current.values()].includes(role)),
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
  const role = profileRole(scope, rights, request)
  current.set(JSON.stringify([[...request.classes].sort(), rights]), role)
  const { version, isMade } = await lookFor(database.query, role, request)
  if (!isMade) await makeProfile(database, scope, role, rights, request)
  return { version, memberOf: [role], lock: lockProfile(role, '_shared'), wall: true }
}
