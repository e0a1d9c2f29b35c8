import { LOCAL_PROVIDER } from './config/providers.ts'
import type { Refusal, SessionId } from './gateway/domain.ts'
import { hiddenFrom } from './gateway/gateway.ts'
import { actChain } from './gateway/identity.ts'
import { reasonOf } from './gateway/fault.ts'
import { refuse } from './gateway/refusals.ts'
import type { Session } from './gateway/session.ts'
import { same } from './config/same.ts'
import type { InForce } from './in-force.ts'
import type { JsonPath } from './http/json-path.ts'
import type { Registry } from './registry.ts'
import type { OpenTarget, TargetSettings } from './targets.ts'

/** Ends the sessions that what is in force has no place for. */
export interface Review {
  /**
   * To be called when a session has been opened, before anything of it runs: it may have been opened by what was in
   * force `under` it, and is no longer.
   */
  opened(session: Session, target: object, under: InForce): void
  /** To be called when something else has come into force. */
  changed(): void
}

type Reviewing = {
  readonly live: ReadonlyMap<SessionId, Session>
  readonly inForce: () => InForce
  readonly registry: Pick<Registry, 'find' | 'madeFrom'>
  readonly warn: (line: string) => void
}

const AGAIN = [{ do: 'change', hint: 'Connect again.' }] as const

export function createReview({ live, inForce, registry, warn }: Reviewing): Review {
  const openedOn = new WeakMap<Session, TargetSettings>()
  const basis = (session: Session): Refusal | undefined =>
    providerGone(session, inForce()) ?? targetGone(session, registry)
  const rules = (session: Session): Refusal | undefined => {
    const from = openedOn.get(session)
    const to = registry.find(session.opening.target)
    return from && to && hidesOther(session, from, to, inForce())
  }
  /** Who cannot be judged is ended too: nobody goes on by what is no longer in force. */
  const end = (session: Session, judge: () => Refusal | undefined): void => {
    try {
      const reason = judge()
      if (reason) session.stop(reason)
    } catch (error) {
      warn(`session ${session.opening.id} is ended, because it cannot be told whether it may go on: ${reasonOf(error)}`)
      session.stop(refuse('unavailable', 'It cannot be told whether this session may go on after a change.', AGAIN))
    }
  }
  return {
    opened: (session, target, under) => {
      const settings = registry.madeFrom(target)
      if (settings) openedOn.set(session, settings)
      const since = (): Refusal | undefined =>
        inForce() === under ? undefined : (rules(session) ?? shutOut(session, registry, inForce()))
      end(session, () => basis(session) ?? since() ?? replaced(session, target, registry))
    },
    changed: () => {
      for (const session of live.values()) end(session, () => basis(session) ?? rules(session))
    },
  }
}

/** The identity, or one it acts for, is vouched for by nobody any more. */
function providerGone({ opening }: Session, { config }: InForce): Refusal | undefined {
  const known = [LOCAL_PROVIDER, ...config.identity.map(({ name }) => name)]
  const gone = actChain(opening.identity).find(({ provider }) => !known.includes(provider))
  return gone && refuse('identity', `The identity provider ${gone.provider} was removed from the gateway.`)
}

function targetGone({ opening }: Session, registry: Reviewing['registry']): Refusal | undefined {
  if (registry.find(opening.target)) return undefined
  return refuse('grant', `Target ${opening.target} was removed from the gateway.`)
}

/** What a session masks was settled when it was opened. */
function hidesOther(
  { opening }: Session,
  from: TargetSettings,
  to: OpenTarget,
  { policy }: InForce,
): Refusal | undefined {
  const hidden = hiddenFrom(opening.identity, to.target, policy)
  if (same(masked(opening.hidden, from), masked(hidden, to.config))) return undefined
  return refuse('grant', `What this session may see on target ${opening.target} has changed: connect again.`, AGAIN)
}

/** What is masked, in a form that does not depend on any order. */
function masked(hidden: readonly string[], { settings }: TargetSettings): unknown {
  const places = hidden.map((name) => [name, (settings.sensitive[name] ?? []).map(placeText).sort()])
  return { detect: [...settings.detect].sort(), places: Object.fromEntries(places) }
}

/** A column is text already; the steps of a JSON path are names, numbers and one symbol. */
function placeText(place: string | JsonPath): string {
  return JSON.stringify(place, (_, step: unknown) => (typeof step === 'symbol' ? { any: true } : step))
}

/** Who was being let in when the target was replaced may have got nothing that it can be reached with. */
function replaced({ opening }: Session, target: object, registry: Reviewing['registry']): Refusal | undefined {
  if (registry.find(opening.target)?.target === target) return undefined
  return refuse('unavailable', `Target ${opening.target} has just been changed.`, AGAIN)
}

/** Whoever was being let in while `connect` was taken away from them. */
function shutOut({ opening }: Session, registry: Reviewing['registry'], { policy }: InForce): Refusal | undefined {
  const target = registry.find(opening.target)?.target
  const decision = target && policy.connect(opening.identity, target.resource)
  return decision?.verdict === 'deny' ? decision.refusal : undefined
}
