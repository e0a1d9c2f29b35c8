import type { SecureContext } from 'node:tls'
import type { Approvals } from '../approvals/approvals.ts'
import type { AskedGrant, Grants } from '../grants/grants.ts'
import type { Lease, LeaseRequest, LeaseSource } from '../grants/lease.ts'
import type { Authenticate } from '../identity/authenticate.ts'
import { createMasker } from '../mask/mask.ts'
import type { Policy } from '../policy/policy.ts'
import { notPermitted } from '../policy/words.ts'
import { recordedIdentity } from '../record/entry.ts'
import type { Recorder } from '../record/recorder.ts'
import type { Clock } from './clock.ts'
import type { Address, Identity, Refusal, SessionId } from './domain.ts'
import { Fault } from './fault.ts'
import { endedMeanwhile, grantFor } from './grant-use.ts'
import { newId } from './ids.ts'
import { permitFrom } from './permit.ts'
import type { Target } from './protocol.ts'
import type { Turns } from './turns.ts'
import { refuse, unrecordable } from './refusals.ts'
import { Session } from './session.ts'
import { identityId } from './identity.ts'

/** An OpenID Connect issuer, under the name of its provider. */
export type Issuer = { readonly provider: string; readonly url: string }

/** What every session stands on. One of each in a process; `policy` changes on reload. */
export type Core = {
  readonly clock: Clock
  readonly policy: () => Policy
  readonly recorder: Recorder
  readonly approvals: Approvals
  readonly grants: Grants
  readonly authenticate: Authenticate
  /** Where clients without a token may get one, in the config's order. */
  readonly issuers: () => readonly Issuer[]
  /** How people reach this gateway, for links in refusals. */
  readonly url: string
  /** May one more connection without an identity be recorded? Bounded, so that strangers cannot fill the log. */
  readonly strangers: () => boolean
  /** Where a session waits that has more to do than its share. */
  readonly turns: Turns
  /** Sessions alive in this process. */
  readonly live: Map<SessionId, Session>
}

export type OpenRequest<T> = {
  readonly identity: Identity
  /** The client came with the credential of this grant. */
  readonly grant?: AskedGrant
  readonly target: T
  readonly protocol: string
  readonly client: Address
  readonly application?: string
}

/** What a protocol gets to work with. */
export interface Gateway<T extends Target<Credential>, Credential> {
  readonly core: Core
  readonly tls: SecureContext
  target(name: string): T | undefined
  open(request: OpenRequest<T>): Promise<{ session: Session; credential: Credential } | { refusal: Refusal }>
  /** Aborts when the gateway drains: no new sessions. */
  readonly draining: AbortSignal
}

/**
 * The way into a session, in this order and nowhere else: may it connect, grant, lease, record. What fails on the way is
 * undone before the refusal is returned.
 */
export async function openSession<T extends Target<Credential>, Credential>(
  core: Core,
  request: OpenRequest<T>,
): Promise<{ session: Session; credential: Credential } | { refusal: Refusal }> {
  const { identity, target } = request
  const policy = core.policy()
  const decision = policy.connect(identity, target.resource)
  const turnedAway = { target: target.name, client: request.client, identity }
  if (decision.verdict === 'deny') return { refusal: await turnAway(core, turnedAway, decision.refusal) }

  const id = newId('ses', core.clock.now())
  const granted = await grantFor(core, request, decision)
  if ('refusal' in granted) return { refusal: await turnAway(core, turnedAway, granted.refusal) }
  const { expiresAt } = granted.grant
  const { scope } = granted

  const hidden = hiddenFrom(identity, target, policy)
  const permitted = [...policy.possibleActions(identity, target.resource)]
  const possible = scope ? permitted.filter((action) => scope.actions.has(action)) : permitted
  const asked = { session: id, identity, target: target.name, expiresAt, hidden, possible }
  const lease = await takeLease(target.leases, asked)
  if ('refusal' in lease) {
    await core.grants.end(granted.grant.id)
    return { refusal: await turnAway(core, turnedAway, lease.refusal) }
  }
  const opening = {
    id,
    identity,
    target: target.name,
    grant: granted.grant.id,
    ...(scope && { scope }),
    expiresAt,
    lease: lease as Lease<unknown>,
    client: request.client,
    hidden,
    masker: createMasker({ hidden, detect: target.detect }),
  }
  try {
    const stored = await core.recorder.append(
      {
        type: 'session.opened',
        session: id,
        target: target.name,
        identity: identityId(identity),
        who: recordedIdentity(identity),
        protocol: request.protocol,
        client: request.client,
        application: request.application,
        grant: granted.grant.id,
        expires_at: new Date(expiresAt).toISOString(),
        lease: lease.name,
        rules: decision.rules,
        policy: decision.policy,
      },
      'written',
    )
    const session = new Session(core, opening, permitFrom(stored))
    const ended = await endedMeanwhile(core, request.grant)
    if (ended) session.stop(ended)
    return { session, credential: lease.credential }
  } catch (error) {
    await lease.revoke()
    await core.grants.end(granted.grant.id)
    if (!(error instanceof Fault)) throw error
    return { refusal: unrecordable() }
  }
}

/** A target that is not there and one that is not permitted look the same. */
export function noSuchTarget(identity: Identity, name: string): Refusal {
  return notPermitted({ identity, action: 'connect', resource: { type: 'Target', id: name } })
}

/** The data classes of a target that an identity must not see. */
export function hiddenFrom(
  identity: Identity,
  { resource, classes }: Pick<Target<unknown>, 'resource' | 'classes'>,
  policy: Policy,
): readonly string[] {
  const unmasked = policy.unmasked(identity, resource, classes)
  return classes.filter((name) => !unmasked.includes(name))
}

async function takeLease<Credential>(
  leases: LeaseSource<Credential>,
  request: LeaseRequest,
): Promise<Lease<Credential> | { refusal: Refusal }> {
  try {
    return await leases.take(request)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const hint = 'Try again later; `sallyport check` tells an operator what is missing.'
    const message = `No credential could be made at target ${request.target}: ${error.message}`
    return { refusal: refuse('unavailable', message, [{ do: 'wait', hint }]) }
  }
}

/** A connection that comes to no session: what it wanted, as far as it said so, and why not. */
export type TurnedAway = { readonly target: string; readonly client: Address; readonly identity?: Identity }

/** Records a connection that gets no session; the refusal to tell it. */
export async function turnAway(
  core: Core,
  { target, client, identity }: TurnedAway,
  refusal: Refusal,
): Promise<Refusal> {
  const who = identity && identityId(identity)
  if (who === undefined && !core.strangers()) return refusal
  try {
    await core.recorder.append({ type: 'session.refused', target, identity: who, client, refusal }, 'written')
    return refusal
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return unrecordable()
  }
}
