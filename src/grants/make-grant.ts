import type { Refusal } from '../gateway/domain.ts'
import { identityId } from '../gateway/identity.ts'
import { newId } from '../gateway/ids.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Grant, GrantRequest } from './grants.ts'

/** Nothing is given for longer than the token is good for. */
export function makeGrant(
  request: GrantRequest,
  now: number,
): { readonly grant: Grant } | { readonly refusal: Refusal } {
  const expiresAt = Math.min(request.expiresAt, request.identity.expiresAt)
  if (!(expiresAt > now)) return { refusal: refuse('identity', 'The token has expired: get a new one.') }
  const { identity, target, purpose } = request
  const id = newId('grt', now)
  return { grant: { id, identity: identityId(identity), target, purpose, openedAt: now, expiresAt } }
}
