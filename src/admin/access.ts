import type { Approval } from '../approvals/approvals.ts'
import type { AskedGrant } from '../grants/grants.ts'
import { concerns } from '../grants/asked.ts'
import { actChain, identityId, isPerson } from '../gateway/identity.ts'
import type { Identity } from '../gateway/domain.ts'

/** The groups of `admin` in the config. */
export type AdminGroups = { readonly operators: readonly string[]; readonly auditors: readonly string[] }

/** Whoever has a good token, or only people: never an agent, a workload, or anyone in another's name. */
type Who = 'anyone' | 'people'

/** Who may call what. What each then sees of it is decided by `sightOf` and `maySeeSessions`. */
export const ACCESS = {
  whoami: 'anyone',
  'approvals.list': 'anyone',
  'approvals.get': 'anyone',
  'approvals.vote': 'people',
  'grants.request': 'anyone',
  'grants.list': 'anyone',
  'grants.get': 'anyone',
  'grants.end': 'anyone',
  'grants.hold': 'anyone',
  'sessions.list': 'people',
  'config.get': 'people',
  'config.reload': 'people',
} as const satisfies Record<string, Who>

export type Route = keyof typeof ACCESS

export function mayCall(route: Route, identity: Identity): boolean {
  return ACCESS[route] === 'anyone' || isPerson(identity)
}

/** May see every session and every approval. */
export function isOverseer(identity: Identity, { operators, auditors }: AdminGroups): boolean {
  return isPersonIn(identity, [...operators, ...auditors])
}

/** May change how the gateway runs. */
export function isOperator(identity: Identity, { operators }: AdminGroups): boolean {
  return isPersonIn(identity, operators)
}

function isPersonIn(identity: Identity, groups: readonly string[]): boolean {
  return isPerson(identity) && groups.some((group) => identity.groups.includes(group))
}

/**
 * How much of an approval someone sees: people see the whole of what they asked for, what was asked for them, and what
 * their groups decide; an agent or workload sees only how its own request stands.
 */
export function sightOf(approval: Approval, identity: Identity, admin: AdminGroups): 'whole' | 'state' | 'nothing' {
  if (isPerson(identity)) {
    const isTheirs = actChain(approval.requester).some((link) => isSame(link, identity))
    const isForThem = approval.hold.groups.some((group) => identity.groups.includes(group))
    return isTheirs || isForThem || isOverseer(identity, admin) ? 'whole' : 'nothing'
  }
  return isSame(approval.requester, identity) ? 'state' : 'nothing'
}

/** Who asked for a grant sees it, as does the person it was asked for, and who sees everything. */
export function maySeeGrant(grant: AskedGrant, identity: Identity, admin: AdminGroups): boolean {
  return concerns(grant, identity) || isOverseer(identity, admin)
}

/** The same, but of those who see everything only operators. */
export function mayEndGrant(grant: AskedGrant, identity: Identity, admin: AdminGroups): boolean {
  return concerns(grant, identity) || isOperator(identity, admin)
}

/** Sessions are for operators and auditors; anyone else may ask for their own, by name. */
export function maySeeSessions(identity: Identity, of: string | undefined, admin: AdminGroups): boolean {
  return isOverseer(identity, admin) || of === identityId(identity)
}

function isSame(one: Identity, other: Identity): boolean {
  return one.kind === other.kind && identityId(one) === identityId(other)
}
