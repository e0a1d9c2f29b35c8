import type { AskedGrant, Grant } from '../grants/grants.ts'
import { operationsNamed } from '../policy/operations.ts'
import type { ConnectDecision } from '../policy/policy.ts'
import type { Identity, Operation, Refusal } from './domain.ts'
import { Fault } from './fault.ts'
import type { Core, OpenRequest } from './gateway.ts'
import { refuse } from './refusals.ts'

/** Who came in, and with which grant if it was with the credential of one. */
export type Admitted = { readonly identity: Identity; readonly grant?: AskedGrant }

/** What a grant was narrowed to: the names as they were given, and the actions that they stand for. */
export type Scope = { readonly names: readonly string[]; readonly actions: ReadonlySet<string> }

/** Users with this beginning are grants. */
const USER = /^grt_/

/** True for the user name of a grant, whether or not there is such a one. */
export function isGrantUser(user: string | undefined): user is string {
  return user !== undefined && USER.test(user)
}

/** A bearer token: one of an identity provider, or `grt_….password` of a grant. */
export async function authenticateBearer(core: Core, token: string): Promise<Admitted | { readonly refusal: Refusal }> {
  if (!isGrantUser(token)) return core.authenticate(token)
  const [, user = '', password = ''] = /^([^.]*)\.(.*)$/s.exec(token) ?? []
  return fromStore(async () => admitted(core, await core.grants.withPassword(user, password)))
}

/** For whom the password of a grant was right. One that has ended looks like one that was never there. */
export function admitted(core: Core, grant: AskedGrant | undefined): Admitted | { readonly refusal: Refusal } {
  if (!grant || grant.ended || grant.expiresAt <= core.clock.now()) return { refusal: wrongCredential() }
  return { identity: grant.who, grant }
}

/** The same for a grant that there never was, for one that has ended, and for a wrong password. */
export function wrongCredential(): Refusal {
  return refuse('identity', 'The user or the password is not good, or the grant has ended.', [
    { do: 'request', command: 'sallyport request <target> --purpose …' },
  ])
}

/** Why a grant is of no use at a target of this name: said before anybody looks whether there is one. */
export function elsewhere(grant: AskedGrant | undefined, target: string): Refusal | undefined {
  if (!grant || grant.target === target) return undefined
  return refuse('grant', `Grant ${grant.id} is for target ${grant.target}, and for no other.`, [
    { do: 'change', hint: `Connect to ${grant.target}.` },
  ])
}

/** The grant of a new session: the one that the client came with, if it can be used; or one of its own. */
export async function grantFor(
  core: Core,
  { identity, grant, target }: Pick<OpenRequest<{ readonly name: string }>, 'identity' | 'grant' | 'target'>,
  { leaseMs }: Extract<ConnectDecision, { verdict: 'allow' }>,
): Promise<{ readonly grant: Grant; readonly scope?: Scope } | { readonly refusal: Refusal }> {
  const expiresAt = core.clock.now() + leaseMs
  if (!grant) return fromStore(() => core.grants.open({ identity, target: target.name, purpose: 'connect', expiresAt }))
  const other = elsewhere(grant, target.name)
  const used = other ? { refusal: other } : await fromStore(() => core.grants.use(grant.id))
  if ('refusal' in used) return used
  return {
    grant: { ...used.grant, expiresAt: Math.min(used.grant.expiresAt, expiresAt) },
    ...(used.grant.operations && { scope: scopeOf(used.grant.operations) }),
  }
}

/** The grant may have ended while its session was being opened, when there was none yet to be stopped. */
export async function endedMeanwhile(core: Core, grant: AskedGrant | undefined): Promise<Refusal | undefined> {
  const used = grant && (await fromStore(() => core.grants.use(grant.id)))
  return used && 'refusal' in used ? used.refusal : undefined
}

function scopeOf(names: readonly string[]): Scope {
  return { names, actions: operationsNamed(names).actions }
}

type Narrowed = { readonly grant: string; readonly target: string; readonly scope?: Scope }

/** Why an operation is outside of what the session's grant was narrowed to. */
export function outsideGrant({ grant, target, scope }: Narrowed, { touches }: Operation): Refusal | undefined {
  const outside = scope && touches.find(({ action }) => !scope.actions.has(action))
  if (!scope || !outside) return undefined
  const { action, resource } = outside
  const names = [...scope.names, action].join(',')
  const message = `Grant ${grant} is not for ${action}, which this does on ${resource.type} ${resource.id}.`
  return refuse('grant', message, [
    { do: 'request', command: `sallyport request ${target} --purpose … --operations ${names}` },
  ])
}

/** What grants the store has; a store that fails is a refusal. */
export async function fromStore<T>(ask: () => Promise<T>): Promise<T | { readonly refusal: Refusal }> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const hint = 'Try again later; the gateway tells its operators why.'
    return { refusal: refuse('unavailable', "The gateway's store does not work.", [{ do: 'wait', hint }]) }
  }
}
