import type { Decision, Identity, Operation, PolicyHash, Resource } from '../gateway/domain.ts'

/** What `connect` was permitted with. */
export type ConnectDecision =
  | {
      readonly verdict: 'allow'
      readonly rules: readonly string[]
      readonly policy: PolicyHash
      readonly leaseMs: number
    }
  | Extract<Decision, { verdict: 'deny' }>

/** A loaded, validated set of policies. Synchronous: a decision is a computation, not a request. */
export interface Policy {
  readonly hash: PolicyHash
  /** One Cedar request for each touch and principal; deny over hold over allow. */
  decide(identity: Identity, operation: Operation): Decision
  /**
   * The rules by which `decision` may be another one once facts are known that only the target can tell (`rows_estimate`);
   * nearly always none. Asks nothing: it costs nothing where no policy reads such a fact.
   */
  undecided(operation: Operation, decision: Decision): readonly string[]
  /** May this identity open a session on this target, and for how long. */
  connect(identity: Identity, target: Resource): ConnectDecision
  /** The data classes, of those named, that this identity may see unmasked on the target. Only ever for a `User`. */
  unmasked(identity: Identity, target: Resource, classes: readonly string[]): readonly string[]
  /** Every action that this identity could ever be permitted on the target: what its lease may need rights for. */
  possibleActions(identity: Identity, target: Resource): ReadonlySet<string>
}
