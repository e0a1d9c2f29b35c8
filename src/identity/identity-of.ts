import type { GroupRule, ProviderConfig } from '../config/providers.ts'
import type { Identity, PrincipalKind } from '../gateway/domain.ts'
import type { JsonObject } from './strict-json.ts'
import { claim, claimAt, isPlainText } from './claims.ts'
import { matchesGlob } from './glob.ts'
import { type Rejected, rejectToken } from './rejection.ts'

const GROUP_LIMIT = 1000
const ASK = 'Ask the administrator of the identity provider.'

/** The identity that verified claims give under their provider's configuration. */
export function identityOf(verified: JsonObject, provider: ProviderConfig): { readonly identity: Identity } | Rejected {
  const claims = withoutUnverifiedEmail(verified)
  const kind = provider.kind.find((rule) => fits(claims, rule.claims))?.kind
  if (kind === undefined) return rejectToken(`fits no kind of the provider ${provider.name}`, ASK)
  const groups = groupsOf(claims, provider, kind)
  if (typeof groups === 'string') return rejectToken(groups, ASK)
  const person = provider.person === undefined ? undefined : claimAt(claims, provider.person)
  const identity = {
    kind,
    provider: provider.name,
    subject: claim(claims, 'sub') as string,
    groups,
    ...(isPlainText(person) && { person }),
    expiresAt: Math.floor((claim(claims, 'exp') as number) * 1000),
  }
  return { identity }
}

/** An address that its holder only says is theirs proves nothing (OpenID Connect Core 1.0 section 5.1). */
function withoutUnverifiedEmail(claims: JsonObject): JsonObject {
  if (!Object.hasOwn(claims, 'email_verified') || claims['email_verified'] === true) return claims
  const { email: _, ...rest } = claims
  return rest
}

/** All wanted claims equal. Of a list that is wanted, one item is enough; a claim that is a list has to contain it. */
function fits(claims: JsonObject, wanted: GroupRule['claims']): boolean {
  return Object.entries(wanted).every(([name, value]) => {
    const given: readonly unknown[] = [claimAt(claims, name)].flat()
    return [value].flat().some((one) => given.includes(one))
  })
}

/** The groups that a token claims and that the config gives, or what is wrong with them. */
function groupsOf(claims: JsonObject, provider: ProviderConfig, kind: PrincipalKind): readonly string[] | string {
  const claimed = claimedGroups(claims, provider, kind)
  if (typeof claimed === 'string') return claimed
  const given = (provider.groups ?? []).filter((rule) => fits(claims, rule.claims)).map(({ group }) => group)
  const groups = [...new Set([...claimed, ...given])]
  return groups.length > GROUP_LIMIT ? `has more than ${GROUP_LIMIT} groups` : groups
}

/**
 * The groups, or what is wrong with them. What is not text is no group; but a token with more, or longer, groups than
 * can be kept is refused: leaving some out could lift a forbid.
 */
function claimedGroups(claims: JsonObject, provider: ProviderConfig, kind: PrincipalKind): readonly string[] | string {
  const name = provider.oidc.groups
  if (name === undefined) return []
  if (isLeftOut(claims, name)) return `does not carry its groups, only a pointer to them (${name})`
  const given = claimAt(claims, name)
  const list: readonly unknown[] = Array.isArray(given) ? given : [given]
  const may = provider.mayAssert ?? (kind === 'User' ? ['*'] : [])
  const texts = list.filter((group) => typeof group === 'string' && may.some((glob) => matchesGlob(glob, group)))
  if (texts.some((group) => (group as string).length > 255)) return 'has a group of more than 255 characters'
  return texts.filter(isPlainText)
}

/** Distributed claims (OpenID Connect Core 1.0 section 5.6.2): how some issuers leave out a long list. */
function isLeftOut(claims: JsonObject, name: string): boolean {
  const names = claim(claims, '_claim_names')
  return typeof names === 'object' && names !== null && Object.hasOwn(names, name)
}
