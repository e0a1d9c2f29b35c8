import { randomBytes } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'
import type { Clock } from '../gateway/clock.ts'
import type { SessionId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { Secret } from '../gateway/secret.ts'
import type { Lease, LeaseSource, Revocation } from '../grants/lease.ts'
import { atMost } from './at-most.ts'
import { checkRights } from './check-rights.ts'
import { openDatabase } from './postgres-pool.ts'
import type { Database } from './postgres-pool.ts'
import type { Profile } from './profile.ts'
import { memberRights, profileRights } from './profile-rights.ts'
import type { RightsSource, RoleRequest, SessionRights } from './profile-rights.ts'
import { revokeRole } from './revoke-role.ts'
import { scramVerifier } from '../grants/scram-verifier.ts'
import { createRole, readComment, roleName, rolePrefix } from './session-role.ts'

/** What a session logs in to PostgreSQL with; never leaves the gateway. */
export type RoleCredential = {
  readonly user: string
  readonly password: Secret
  /** The role has no right to read what is hidden from the session's identity. */
  readonly wall?: true
}

export type PostgresRoleOptions = {
  readonly target: string
  /** The target's URL, without a password: says which database. */
  readonly url: string
  /** Connection URL of the gateway's own login at the target (docs/guides/postgres-rights.md). */
  readonly admin: Secret
  readonly memberOf: readonly string[]
  /** Instead of `memberOf`: rights that the gateway gives itself. */
  readonly profile?: Profile
  /** Who gets what sessions create; left out, it is dropped at the session's end. */
  readonly owner?: string
  /** 8 hex digits: whose roles these are. */
  readonly installation: string
  /** Left out: plain on loopback, verified TLS everywhere else. */
  readonly tls?: false | ConnectionOptions
  readonly clock: Clock
  /** Does a living gateway of this installation hold the session? Asked by the sweep. */
  isLive(session: SessionId): Promise<boolean>
}

/** What the source knows of its own roles. The truth is at the target; `sweep` finds it again there. */
type State = {
  readonly held: Set<string>
  /** Not verified as gone: the next sweep tries again, whether or not the session is live. */
  readonly owed: Set<string>
  readonly running: Map<string, Promise<Revocation>>
  readonly rights: RightsSource
  readonly inTurn: ReturnType<typeof atMost>
}

/** Roles ended at the same time: however many sessions end at once, a connection is left for those that begin. */
const ENDED_AT_ONCE = 3

/** A role of its own for every session, gone at its end. `take` throws Fault `lease`, `sweep` Fault `target`. */
export function postgresRole(options: PostgresRoleOptions): LeaseSource<RoleCredential, RoleRequest> {
  rolePrefix(options.installation)
  const { url, tls } = options
  const database = openDatabase({ url, login: options.admin, tls })
  const rights = rightsOf(options, database)
  const state: State = { held: new Set(), owed: new Set(), running: new Map(), rights, inTurn: atMost(ENDED_AT_ONCE) }
  const revoke = (role: string): Promise<Revocation> => revokeOnce(options, database, state, role)
  return {
    take: (request) => take(options, database, state, request, revoke),
    sweep: () => sweep(options, database, state, revoke),
    check: () => checkRights({ ...options, database }),
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled(state.running.values())
      await database[Symbol.asyncDispose]()
    },
  }
}

function rightsOf(options: PostgresRoleOptions, database: Database): RightsSource {
  const { profile, installation, target, owner } = options
  if (profile === undefined) return memberRights(options.memberOf, database)
  const { name, user: admin } = database
  const scope = { installation, target, database: name, admin, owner, schemas: profile.schemas }
  return profileRights({ profile, scope, database })
}

async function take(
  options: PostgresRoleOptions,
  database: Database,
  state: State,
  request: RoleRequest,
  revoke: (role: string) => Promise<Revocation>,
): Promise<Lease<RoleCredential>> {
  const { installation } = options
  const role = roleName(installation, request)
  const password = randomBytes(24).toString('base64url')
  state.held.add(role)
  try {
    const verifier = await scramVerifier(password)
    const make = async (): Promise<Pick<SessionRights, 'wall'>> => {
      const { wall, ...rights } = await state.rights.take(request)
      await database.query(createRole({ role, verifier, installation, request, ...rights }))
      return { wall }
    }
    const made = await make().catch((error: unknown) => {
      if (isGone(error)) return make()
      throw error
    })
    return leaseOf(role, { user: role, password: new Secret(password), ...made }, revoke)
  } catch (cause) {
    state.held.delete(role)
    if (cause instanceof Fault) throw cause
    // The connection may have broken after the commit: the role counts as made until it is seen gone.
    state.owed.add(role)
    throw new Fault('lease', `No role could be made at target ${options.target}.`, cause)
  }
}

/** undefined_object: the sweep of another gateway may have dropped the profile role before this role was its member. */
function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42704'
}

function leaseOf(
  role: string,
  credential: RoleCredential,
  revoke: (role: string) => Promise<Revocation>,
): Lease<RoleCredential> {
  return {
    name: role,
    credential,
    revoke: () => {
      credential.password[Symbol.dispose]()
      return revoke(role)
    },
  }
}

/** Whoever asks while it runs gets the same answer; whoever asks later finds the role gone. */
function revokeOnce(
  { owner, clock }: PostgresRoleOptions,
  database: Database,
  state: State,
  role: string,
): Promise<Revocation> {
  const current = state.running.get(role)
  if (current !== undefined) return current
  const run = state
    .inTurn(() => revokeRole({ database, owner, clock }, role))
    .then((revocation) => {
      state.running.delete(role)
      state.held.delete(role)
      if (revocation.verified) state.owed.delete(role)
      else state.owed.add(role)
      return revocation
    })
  state.running.set(role, run)
  return run
}

async function sweep(
  options: PostgresRoleOptions,
  database: Database,
  state: State,
  revoke: (role: string) => Promise<Revocation>,
): Promise<readonly { readonly name: string; readonly revocation: Revocation }[]> {
  const orphans = new Set(state.owed)
  for (const { role, session } of await rolesOf(options.installation, database)) {
    if (!state.held.has(role) && !(await options.isLive(session))) orphans.add(role)
  }
  const swept = []
  for (const name of orphans) swept.push({ name, revocation: await revoke(name) })
  return [...swept, ...(await state.rights.sweep())]
}

/** This installation's session roles: name and comment must both say so. */
async function rolesOf(
  installation: string,
  database: Database,
): Promise<readonly { readonly role: string; readonly session: SessionId }[]> {
  const sql =
    "SELECT rolname::text AS role, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles " +
    'WHERE starts_with(rolname::text, $1) ORDER BY 1'
  const rows = await database.query(sql, [rolePrefix(installation)]).catch((cause: unknown) => {
    throw new Fault('target', 'The roles of the target could not be read.', cause)
  })
  return rows.flatMap((row) => {
    const role = String(row['role'])
    const session = readComment(row['comment'], installation)
    return session !== undefined && isRoleOf(session, role, installation) ? [{ role, session }] : []
  })
}

function isRoleOf(session: SessionId, role: string, installation: string): boolean {
  const own = rolePrefix(installation) + session.slice('ses_'.length).replaceAll('-', '')
  return role === own || role.startsWith(`${own}_`)
}
