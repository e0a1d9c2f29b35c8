import { createHash } from 'node:crypto'
import type { ProviderConfig } from '../config/providers.ts'
import type { Clock } from '../gateway/clock.ts'
import type { Identity, Refusal } from '../gateway/domain.ts'
import type { LocalTokens } from './local-tokens.ts'
import { audiences } from './claims.ts'
import { type Fetch, type IssuerKeys, issuerKeys } from './issuer-keys.ts'
import { type Verified, verifyOidc } from './oidc.ts'
import { type Rejected, rejectToken } from './rejection.ts'
import { readToken, type UnverifiedToken } from './token.ts'
import { createTokenCache, type TokenCache } from './token-cache.ts'

/**
 * Turns a bearer token into an identity, or says in one line why not (code `identity`; `unavailable` when its issuer
 * cannot be asked). Verified tokens are cached by hash until they expire or their issuer's keys change.
 */
export type Authenticate = (token: string) => Promise<{ readonly identity: Identity } | { readonly refusal: Refusal }>

export type AuthenticateOptions = {
  readonly providers: readonly ProviderConfig[]
  readonly local: LocalTokens
  readonly clock: Clock
  readonly fetch?: Fetch
}

/** Authenticates tokens of these providers and of the gateway itself. Asks no issuer before its first token comes. */
export function createAuthenticate({ providers, local, clock, fetch }: AuthenticateOptions): Authenticate {
  const issuers = new Map(
    providers.map(({ oidc: { issuer } }) => [issuer, issuerKeys({ issuer, clock, fetch: fetch ?? globalThis.fetch })]),
  )
  const names = new Set(providers.map(({ name }) => name))
  const cache = createTokenCache<Verified>(clock)
  return async (text) => {
    const read = readToken(text)
    if ('refusal' in read) return read
    if (read.token.issuer === local.issuer) return local.verify(read.token, names)
    const keys = issuers.get(read.token.issuer)
    if (keys === undefined) return rejectToken('is of an unknown issuer')
    const provider = choose(read.token, providers)
    if ('refusal' in provider) return provider
    return verifyCached(read.token, provider, keys, cache, clock)
  }
}

/** The provider whose issuer and audience a token names. */
function choose({ issuer, claims }: UnverifiedToken, providers: readonly ProviderConfig[]): ProviderConfig | Rejected {
  const named = audiences(claims) ?? []
  const fitting = providers.filter(({ oidc }) => oidc.issuer === issuer && named.includes(oidc.audience))
  if (fitting.length === 0) return rejectToken('is for another audience (aud)')
  // Which of them it is decides the kind and the groups: that is not the token's to leave open.
  return fitting.length === 1 ? fitting[0]! : rejectToken('names the audiences of several providers (aud)')
}

async function verifyCached(
  token: UnverifiedToken,
  provider: ProviderConfig,
  keys: IssuerKeys,
  cache: TokenCache<Verified>,
  clock: Clock,
): Promise<{ readonly identity: Identity } | Rejected> {
  const hash = createHash('sha256').update(token.text).digest('base64')
  const cached = cache.get(hash)
  if (cached) {
    const current = await keys.current()
    if ('digest' in current && current.digest === cached.digest && cached.identity.expiresAt > clock.now()) {
      return { identity: cached.identity }
    }
  }
  const verified = await verifyOidc(token, provider, keys, clock)
  if ('refusal' in verified) return verified
  cache.set(hash, verified, verified.identity.expiresAt)
  return { identity: verified.identity }
}
