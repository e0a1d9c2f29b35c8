import type { AskedGrant } from '../grants/grants.ts'
import { operationsNamed } from '../policy/operations.ts'
import type { ConnectDecision } from '../policy/policy.ts'
import { notPermitted } from '../policy/words.ts'
import { recordedIdentity, type GrantEnded, type GrantOpened } from '../record/entry.ts'
import type { Clock } from './clock.ts'
import type { GrantId, Identity, Refusal, Resource } from './domain.ts'
import { Fault, reasonOf } from './fault.ts'
import type { Core } from './gateway.ts'
import { identityId } from './identity.ts'
import { refuse, unrecordable } from './refusals.ts'

/** What is asked for. `forMs`: as long as policy lets it, when absent. */
export type GrantWish = {
  readonly target: string
  readonly purpose: string
  readonly forMs?: number
  readonly operations?: readonly string[]
}

export type GivenGrant = { readonly grant: AskedGrant; readonly password: string }

/** `ended` tells why the grant did. */
export type HeldGrant = { readonly ended: Promise<string>; readonly released: () => void }

/** Gives grants and ends them. */
export interface GrantDesk extends AsyncDisposable {
  /** By policy, within its `@lease`; recorded before anybody is told. */
  request(identity: Identity, wish: GrantWish): Promise<GivenGrant | { readonly refusal: Refusal }>
  /** Ends a grant and its sessions, sockets first; undefined when it has ended before. */
  end(id: GrantId, reason: string): Promise<AskedGrant | undefined>
  /** From now on the grant ends when `released` is called; undefined when it is held already. */
  hold(id: GrantId): Promise<HeldGrant | undefined>
}

type Desk = {
  readonly core: Core
  /** Where a target of this name stands in the tree of policy. */
  readonly resourceOf: (target: string) => Resource | undefined
  readonly warn: (line: string) => void
}

/** How often it looks whose time is over, in ms. Sessions look for themselves. */
const LOOK_MS = 5_000
const STOPPED = 'the gateway stopped'
const LEFT = 'its holder went away'

/** Begins by ending what ended while there was no gateway: what had expired, and what was held. */
export async function openGrantDesk(desk: Desk): Promise<GrantDesk> {
  const { core, warn } = desk
  const holders = new Map<GrantId, (reason: string) => void>()
  const ending = new Set<Promise<unknown>>()
  const closed = new AbortController()
  const end: GrantDesk['end'] = async (id, reason) => {
    const ended = await endGrant(core, id, reason)
    if (ended) holders.get(id)?.(reason)
    return ended
  }
  const endLater = (id: GrantId, reason: string): void => {
    if (closed.signal.aborted) return
    const done = end(id, reason)
      .catch((error: unknown) => warn(`grant ${id} could not be ended: ${reasonOf(error)}`))
      .finally(() => ending.delete(done))
    ending.add(done)
  }
  /** `lost`: why a grant ends that was held, and no longer is. */
  const look = async (lost: string): Promise<void> => {
    for (const { id } of await core.grants.overdue()) endLater(id, 'expired')
    const held = await core.grants.list({ live: true, held: true })
    for (const { id } of held) if (!holders.has(id)) endLater(id, lost)
  }
  await look(STOPPED)
  await Promise.all(ending)
  const looking = keepLooking(core.clock, () => look(LEFT), closed.signal)
  return {
    request: (identity, wish) => request(desk, identity, wish),
    end,
    hold: async (id) => {
      if (holders.has(id)) return undefined
      const { promise, resolve } = Promise.withResolvers<string>()
      holders.set(id, resolve)
      const ended = promise.finally(() => holders.delete(id))
      try {
        await core.grants.hold(id)
        const { ended: before } = (await core.grants.find(id)) ?? {}
        if (before) resolve(before.reason)
        const released = (): void => {
          holders.delete(id)
          endLater(id, LEFT)
        }
        return { ended, released }
      } catch (error) {
        holders.delete(id)
        throw error
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of holders.keys()) endLater(id, STOPPED)
      closed.abort()
      await looking
      await Promise.all(ending)
    },
  }
}

/** A store that fails has told its operators so: it is looked again. */
async function keepLooking(clock: Clock, look: () => Promise<void>, closed: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(LOOK_MS, closed)
    if (closed.aborted) return
    await look().catch(() => undefined)
  }
}

/** A session that is being opened meanwhile is either found the second time, or finds the grant ended. */
async function endGrant(core: Core, id: GrantId, reason: string): Promise<AskedGrant | undefined> {
  stopSessions(core, id, reason)
  const ended = await core.grants.finish(id, reason)
  if (!ended) return undefined
  stopSessions(core, id, reason)
  const { target, identity } = ended
  const entry: GrantEnded = { type: 'grant.ended', grant: id, target, identity, reason }
  await core.recorder.append(entry, 'written')
  return ended
}

function stopSessions({ live }: Core, id: GrantId, reason: string): void {
  for (const session of live.values()) {
    const { grant, target } = session.opening
    if (grant !== id) continue
    const command = `sallyport request ${target} --purpose …`
    session.stop(refuse('grant', `The grant of this session has ended: ${reason}.`, [{ do: 'request', command }]))
  }
}

async function request(desk: Desk, identity: Identity, wish: GrantWish): ReturnType<GrantDesk['request']> {
  const { core } = desk
  const decision = decide(desk, identity, wish)
  if (decision.verdict === 'deny') return refused(core, identity, wish, decision.refusal)
  const { target, purpose, operations, forMs = decision.leaseMs } = wish
  const expiresAt = core.clock.now() + Math.min(forMs, decision.leaseMs)
  const given = await core.grants.request({ identity, target, purpose, expiresAt, ...(operations && { operations }) })
  if ('refusal' in given) return refused(core, identity, wish, given.refusal)
  try {
    await core.recorder.append(openedEntry(given.grant, decision), 'written')
    return given
  } catch (error) {
    await core.grants.finish(given.grant.id, 'it could not be recorded')
    if (!(error instanceof Fault)) throw error
    return { refusal: unrecordable() }
  }
}

function decide(
  { core, resourceOf }: Desk,
  identity: Identity,
  { target, operations = [] }: GrantWish,
): Exclude<ConnectDecision, { verdict: 'deny' }> | { readonly verdict: 'deny'; readonly refusal: Refusal } {
  const { unknown } = operationsNamed(operations)
  if (unknown.length > 0) return { verdict: 'deny', refusal: unknownOperations(unknown) }
  const resource = resourceOf(target)
  if (resource) return core.policy().connect(identity, resource)
  // A target that is not there and one that is not permitted look the same.
  const question = { identity, action: 'connect', resource: { type: 'Target', id: target } }
  return { verdict: 'deny', refusal: notPermitted(question) }
}

function unknownOperations(names: readonly string[]): Refusal {
  const hint = 'Name actions such as sql.select, or groups such as read: `sallyport policy schema` has them all.'
  return refuse('unreadable', `There is no operation ${names.join(', ')}.`, [{ do: 'change', hint }])
}

async function refused(
  core: Core,
  identity: Identity,
  { target, purpose, operations }: GrantWish,
  refusal: Refusal,
): Promise<{ readonly refusal: Refusal }> {
  const who = recordedIdentity(identity)
  const asked = { target, identity: identityId(identity), who, purpose, ...(operations && { operations }) }
  try {
    await core.recorder.append({ type: 'grant.refused', ...asked, refusal }, 'written')
    return { refusal }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { refusal: unrecordable() }
  }
}

function openedEntry(
  { id, target, identity, who, purpose, operations, expiresAt }: AskedGrant,
  { rules, policy }: { readonly rules: readonly string[]; readonly policy: string },
): GrantOpened {
  return {
    type: 'grant.opened',
    grant: id,
    target,
    identity,
    who: recordedIdentity(who),
    purpose,
    ...(operations && { operations }),
    expires_at: new Date(expiresAt).toISOString(),
    rules,
    policy,
  }
}
