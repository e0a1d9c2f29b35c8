import type { Identity, PrincipalKind } from '../gateway/domain.ts'
import { LOCAL_PROVIDER } from '../config/providers.ts'
import { actChain } from '../gateway/identity.ts'
import { claim, isPlainText } from './claims.ts'
import type { JsonObject } from './strict-json.ts'

/** How an identity stands in the claims of the gateway's own tokens, and how it is read from them. */

/** Identities in a chain, at most: a person and three that act, one for the other. */
export const CHAIN_LIMIT = 4
/** `[A-Za-z0-9._@-]{1,100}`: a subject of the provider `local`. */
export const LOCAL_NAME: RegExp = /^[A-Za-z0-9._@-]{1,100}$/

const KINDS: readonly unknown[] = ['User', 'Agent', 'Workload'] satisfies readonly PrincipalKind[]

/** One identity of a chain. */
type Link = Omit<Identity, 'onBehalfOf'>

/**
 * The claims of an identity: `sub` is the one at the root of its chain, `act` who acts now, `act.act` who acted before it
 * (RFC 8693 section 4.1). Each has `provider`, `kind`, `groups` and, if known, `person`.
 */
export function claimsOf(identity: Identity): JsonObject {
  const [root, ...actors] = actChain(identity).toReversed()
  const act = actors.reduce<JsonObject | undefined>(
    (before, actor) => ({ ...linkClaims(actor), act: before }),
    undefined,
  )
  return { ...linkClaims(root!), act }
}

function linkClaims({ subject, provider, kind, groups, person }: Identity): JsonObject {
  return { sub: subject, provider, kind, groups, person }
}

/** The identity of claims whose signature and times are good; undefined when they are none that the gateway writes. */
export function identityFrom(claims: JsonObject): Identity | undefined {
  const expiresAt = Math.floor((claim(claims, 'exp') as number) * 1000)
  const links = linksOf(claims, expiresAt)
  if (links === undefined) return undefined
  const [root, ...actors] = links
  if (actors.length > 0 && root!.kind !== 'User') return undefined
  if (actors.some(({ kind }) => kind === 'User')) return undefined
  return actors.reduce<Identity>((onBehalfOf, actor) => ({ ...actor, onBehalfOf }), root!)
}

/** The root, then those who act, in the order in which they came in. */
function linksOf(claims: JsonObject, expiresAt: number): readonly Link[] | undefined {
  const actors: Link[] = []
  const root = linkOf(claims, expiresAt)
  let act = claim(claims, 'act')
  while (act !== undefined) {
    const link = isObject(act) ? linkOf(act, expiresAt) : undefined
    if (link === undefined || actors.unshift(link) >= CHAIN_LIMIT) return undefined
    act = claim(act as JsonObject, 'act')
  }
  return root && [root, ...actors]
}

function linkOf(claims: JsonObject, expiresAt: number): Link | undefined {
  const [kind, subject, groups] = [claim(claims, 'kind'), claim(claims, 'sub'), claim(claims, 'groups')]
  const [person, provider = LOCAL_PROVIDER] = [claim(claims, 'person'), claim(claims, 'provider')]
  if (!KINDS.includes(kind) || !isPlainText(subject) || !isPlainText(provider)) return undefined
  if (provider === LOCAL_PROVIDER && !LOCAL_NAME.test(subject)) return undefined
  if (!Array.isArray(groups) || !groups.every(isPlainText)) return undefined
  if (person !== undefined && !isPlainText(person)) return undefined
  return {
    kind: kind as PrincipalKind,
    provider,
    subject,
    groups,
    ...(person !== undefined && { person }),
    expiresAt,
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
