import type { Stored } from '../record/recorder.ts'

declare const permit: unique symbol
/** Proof that something was decided and its record stored. Nothing is forwarded to a target without one. */
export type Permit = { readonly record: number; readonly [permit]: true }

/** The one place that makes a permit, out of a stored record. */
export function permitFrom(stored: Stored): Permit {
  return { record: stored.seq } as Permit
}
