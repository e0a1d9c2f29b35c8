import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Terms } from './annotations.ts'

/** One validated policy. Its name is unique in the set. */
export type Rule = {
  readonly id: string
  readonly effect: PolicyJson['effect']
  /** The policy as written: what Cedar is given. */
  readonly text: string
  /** Actions that its scope names; empty when the scope is open. */
  readonly actions: ReadonlySet<string>
  readonly resource: PolicyJson['resource']
  readonly terms: Terms
}
