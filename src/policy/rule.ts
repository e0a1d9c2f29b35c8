import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Terms } from './annotations.ts'
import type { Scope } from './scope.ts'

/** One validated policy. Its name is unique in the set. */
export type Rule = {
  readonly id: string
  readonly effect: PolicyJson['effect']
  /** The policy as written: what Cedar is given. */
  readonly text: string
  /** Actions that its scope names; empty when the scope is open. */
  readonly actions: ReadonlySet<string>
  /** Every action that its scope holds for: those named, those of groups named, or all. */
  readonly covered: ReadonlySet<string>
  readonly principal: Scope
  readonly resource: Scope
  /** It has a `when` or an `unless`. */
  readonly conditional: boolean
  /** Facts it reads that the gateway finds out only for those who ask. */
  readonly asks: ReadonlySet<string>
  readonly terms: Terms
}
