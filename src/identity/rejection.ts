import type { Refusal } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'

/** Why a token gives no identity. */
export type Rejected = { readonly refusal: Refusal }

/** The token is bad: `problem` continues "the token …" and never repeats any of it. */
export function rejectToken(problem: string, hint = 'Get a new token from the identity provider.'): Rejected {
  return { refusal: refuse('identity', `The token ${problem}.`, [{ do: 'change', hint }]) }
}

/** The token may be good, but its issuer cannot be asked. */
export function issuerUnavailable(issuer: string, problem: string): Rejected {
  const message = `The token cannot be verified: the keys of ${issuer} cannot be read (${problem}).`
  return { refusal: refuse('unavailable', message, [{ do: 'wait', hint: 'Try again when the issuer answers.' }]) }
}
