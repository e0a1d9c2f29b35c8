import type { Decision, Operation } from '../../src/gateway/domain.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import type { Policy } from '../../src/policy/policy.ts'

export type PolicyOptions = {
  readonly actions: { readonly denied: string; readonly held: string }
  /** How long a held operation waits, in ms. */
  readonly waitMs?: number
  /** May its client see what is sensitive? */
  readonly sees?: boolean
  /** May its client connect at all? */
  readonly connects?: boolean
}

/** One action is denied, one is held for the group `keepers`, all else is allowed. */
export interface FakePolicy extends Policy {
  /** From now on everything is denied. */
  tighten(): void
}

/** How long a session may last. */
const LEASE_MS = 600_000
const RULES = { rules: ['conformance'], policy: 'conformance' } as const
const DENIED = refuse('denied', 'Not here.', [{ do: 'change', hint: 'Ask for something else.' }])

export function fakePolicy(options: PolicyOptions): FakePolicy {
  const { actions, waitMs = 8_000, sees = false, connects = true } = options
  let strict = false
  return {
    hash: RULES.policy,
    tighten: () => {
      strict = true
    },
    decide: (_identity, { touches }: Operation): Decision => {
      const does = (wanted: string): boolean => touches.some(({ action }) => action === wanted)
      if (strict || does(actions.denied)) return { verdict: 'deny', ...RULES, refusal: DENIED }
      if (!does(actions.held)) return { verdict: 'allow', ...RULES }
      return { verdict: 'hold', ...RULES, groups: ['keepers'], quorum: 1, waitMs, ticketMs: 60_000, previews: [] }
    },
    connect: () =>
      connects ? { verdict: 'allow', ...RULES, leaseMs: LEASE_MS } : { verdict: 'deny', ...RULES, refusal: DENIED },
    unmasked: (_identity, _resource, classes) => (sees ? classes : []),
    undecided: () => [],
    possibleActions: () => new Set(),
  }
}
