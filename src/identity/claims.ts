import type { JsonObject } from './strict-json.ts'

/** What a verified token must say. Times in ms. */
export type Expected = {
  readonly issuer: string
  readonly audience: string
  readonly clientId?: string
  readonly now: number
  readonly maxLifeMs: number
  /** Whether `act` is read: of the gateway's own tokens only. */
  readonly mayBeDelegated?: boolean
}

/** The one who may act for the subject of a token. */
export type MayAct = { readonly iss: string; readonly sub: string }

/** How far the issuer's clock may be ahead of ours (`iat`, `nbf`). None for `exp`. */
const LEEWAY_MS = 60_000

/** A member of the token itself, never of its prototype. */
export function claim(claims: JsonObject, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}

/**
 * A claim by the name in the configuration: a member of exactly that name, else, unless it is a URL, a path of members
 * with dots between (`realm_access.roles`).
 */
export function claimAt(claims: JsonObject, name: string): unknown {
  if (Object.hasOwn(claims, name) || name.includes('://')) return claim(claims, name)
  let value: unknown = claims
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    value = claim(value as JsonObject, step)
  }
  return value
}

/** Text that can stand in a record, a policy and a terminal: no control, format or broken characters, 255 at most. */
export function isPlainText(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= 255 &&
    value.isWellFormed() &&
    !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value)
  )
}

/** What is wrong with the claims of a token whose signature is good (RFC 7519 section 4.1), or undefined. */
export function claimsProblem(claims: JsonObject, expected: Expected): string | undefined {
  return timeProblem(claims, expected) ?? audienceProblem(claims, expected) ?? useProblem(claims, expected)
}

function timeProblem(claims: JsonObject, { now, maxLifeMs }: Expected): string | undefined {
  const [exp, iat, nbf] = [time(claims, 'exp'), time(claims, 'iat'), time(claims, 'nbf')]
  if (exp === undefined) return 'has no expiry (exp)'
  if (exp === null || iat === null || nbf === null) return 'is malformed (exp, iat or nbf is not a time)'
  if (exp <= now) return `has expired at ${new Date(exp).toISOString()}`
  if (iat !== undefined && iat > now + LEEWAY_MS) return 'is issued in the future (iat)'
  if (nbf !== undefined && nbf > now + LEEWAY_MS) return 'is not valid yet (nbf)'
  const start = Math.min(iat ?? now, now)
  return exp - start > maxLifeMs ? `lives longer than ${maxLifeMs / 3_600_000} hours` : undefined
}

/** A NumericDate (RFC 7519 section 2) in ms; undefined when absent, null when it is something else. */
function time(claims: JsonObject, name: string): number | null | undefined {
  if (!Object.hasOwn(claims, name)) return undefined
  const value = claims[name]
  return typeof value === 'number' && Math.abs(value) <= 8.64e12 ? value * 1000 : null
}

/** The audiences of a token, or undefined when `aud` is absent or malformed. */
export function audiences(claims: JsonObject): readonly string[] | undefined {
  const aud = claim(claims, 'aud')
  const list: unknown = typeof aud === 'string' ? [aud] : aud
  return Array.isArray(list) && list.every((entry) => typeof entry === 'string') ? list : undefined
}

/** `azp`: OpenID Connect Core 1.0 section 3.1.3.7, rules 4 and 5. */
function audienceProblem(claims: JsonObject, { issuer, audience, clientId }: Expected): string | undefined {
  const given = audiences(claims)
  const azp = claim(claims, 'azp')
  if (claim(claims, 'iss') !== issuer) return 'is of another issuer (iss)'
  if (!given?.includes(audience)) return 'is for another audience (aud)'
  if (azp !== undefined && typeof azp !== 'string') return 'is malformed (azp)'
  const shared = given.length > 1 && clientId !== undefined
  return shared && azp !== clientId ? 'was issued to another client, or does not say to which (azp)' : undefined
}

function useProblem(claims: JsonObject, { mayBeDelegated }: Expected): string | undefined {
  if (!isPlainText(claim(claims, 'sub'))) return 'names no subject (sub), or one that cannot be used'
  // Logout tokens and security events (RFC 8417 section 2.2) name a subject, but prove nothing about who sends them.
  if (Object.hasOwn(claims, 'events')) return 'is an event, not a proof of identity (events)'
  // Whoever sends it would have to prove that it holds the key (RFC 7800 section 3), which no listener can ask yet.
  if (Object.hasOwn(claims, 'cnf')) return 'is bound to a key (cnf), which is not built yet'
  // Ignoring it would give the agent all the rights of the person (RFC 8693 section 4.1).
  if (Object.hasOwn(claims, 'act') && !mayBeDelegated) {
    return 'is delegated (act) by its issuer: exchange the tokens of both at /oauth/token'
  }
  return undefined
}
