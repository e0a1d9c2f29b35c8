import { compactVerify, errors } from 'jose'
import type { ProviderConfig } from '../config/providers.ts'
import type { Clock } from '../gateway/clock.ts'
import type { Identity } from '../gateway/domain.ts'
import type { IssuerKeys, KeySet } from './issuer-keys.ts'
import { claimsProblem } from './claims.ts'
import { identityOf } from './identity-of.ts'
import { issuerUnavailable, type Rejected, rejectToken } from './rejection.ts'
import { ALGORITHMS, type UnverifiedToken } from './token.ts'

const MAX_LIFE_MS = 24 * 3_600_000

/** An identity, and the key set that vouched for it. */
export type Verified = { readonly identity: Identity; readonly digest: string }

/** Verifies a token as one of `provider`: signature by the issuer's own keys, then every claim. */
export async function verifyOidc(
  token: UnverifiedToken,
  provider: ProviderConfig,
  keys: IssuerKeys,
  clock: Clock,
): Promise<Verified | Rejected> {
  const signed = await verifiedBy(token, keys)
  if ('refusal' in signed) return signed
  const { issuer, audience, clientId } = provider.oidc
  const expected = { issuer, audience, clientId, now: clock.now(), maxLifeMs: MAX_LIFE_MS }
  const problem = claimsProblem(token.claims, expected)
  if (problem !== undefined) return rejectToken(problem)
  const result = identityOf(token.claims, provider)
  return 'refusal' in result ? result : { identity: result.identity, digest: signed.digest }
}

/** The key set that verifies the signature. The issuer is asked again before a key counts as unknown. */
async function verifiedBy(token: UnverifiedToken, keys: IssuerKeys): Promise<KeySet | Rejected> {
  const known = await keys.current()
  if ('problem' in known) return issuerUnavailable(token.issuer, known.problem)
  const problem = await signatureProblem(token, known)
  if (problem === undefined) return known
  const renewed = await keys.renewed()
  if ('problem' in renewed) return issuerUnavailable(token.issuer, renewed.problem)
  const still = renewed.digest === known.digest ? problem : await signatureProblem(token, renewed)
  return still === undefined ? renewed : rejectToken(still)
}

async function signatureProblem(token: UnverifiedToken, { find }: KeySet): Promise<string | undefined> {
  try {
    await compactVerify(token.text, find, { algorithms: ALGORITHMS })
    return undefined
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return 'is signed with a key that its issuer does not publish'
    if (error instanceof errors.JWKSMultipleMatchingKeys) return 'does not say which key it is signed with (kid)'
    // Everything else, a key of the issuer that cannot be used included, is no valid signature.
    return 'has no valid signature'
  }
}
