import type { Identity, Refusal } from '../gateway/domain.ts'
import { LOCAL_PROVIDER } from '../config/providers.ts'
import { actChain, identityId } from '../gateway/identity.ts'
import type { Authenticate } from './authenticate.ts'
import { claim, type MayAct } from './claims.ts'
import { type ExchangeError, type ExchangeRequest, invalid } from './exchange-request.ts'
import type { Issued, LocalTokens } from './local-tokens.ts'
import type { JsonObject } from './strict-json.ts'
import { readToken } from './token.ts'
import { CHAIN_LIMIT } from './token-claims.ts'

/** A token for `identity`, or why not; and whose tokens were given, as far as they were good. */
export type Exchanged =
  | { readonly subject: Identity; readonly actor?: Identity; readonly identity: Identity; readonly issued: Issued }
  | ({ readonly subject?: Identity; readonly actor?: Identity } & ExchangeError)

/** Exchanges good tokens for one of the gateway (RFC 8693). Nothing is recorded here. */
export type Exchange = (request: ExchangeRequest) => Promise<Exchanged>

export type ExchangeOptions = {
  readonly authenticate: Authenticate
  readonly local: Pick<LocalTokens, 'issue' | 'issuer'>
  readonly issuers: () => readonly { readonly provider: string; readonly url: string }[]
}

type Party = { readonly identity: Identity; readonly claims: JsonObject }

/**
 * A subject alone gets a token for the same identity. With an actor, an agent or workload in its own name, the token is for
 * the actor on behalf of the subject: a person, or whoever acts for one already. It never lives longer than what it is made
 * from, and never longer than an hour.
 */
export function createExchange(options: ExchangeOptions): Exchange {
  return async ({ subjectToken, actorToken }) => {
    const subject = await partyOf('subject_token', subjectToken, options.authenticate)
    if ('error' in subject) return subject
    const known = { subject: subject.identity }
    const mayAct = mayActOf(subject.claims)
    if (mayAct !== undefined && 'error' in mayAct) return { ...known, ...mayAct }
    if (actorToken === undefined) return { ...known, ...(await issue(subject.identity, mayAct, options)) }
    const actor = await partyOf('actor_token', actorToken, options.authenticate)
    if ('error' in actor) return { ...known, ...actor }
    const both = { ...known, actor: actor.identity }
    const problem = delegationProblem(both, mayAct, options)
    if (problem !== undefined) return { ...both, ...invalid(problem) }
    return { ...both, ...(await issue(delegated(both), mayAct, options)) }
  }
}

async function partyOf(name: string, token: string, authenticate: Authenticate): Promise<Party | ExchangeError> {
  const result = await authenticate(token)
  if ('refusal' in result) return refused(name, result.refusal)
  const read = readToken(token)
  return 'refusal' in read ? refused(name, read.refusal) : { identity: result.identity, claims: read.token.claims }
}

function refused(name: string, { code, message }: Refusal): ExchangeError {
  const error = code === 'identity' ? 'invalid_request' : 'temporarily_unavailable'
  return { error, description: `${name}: ${message}` }
}

/** `may_act` (RFC 8693 section 4.4), of the subject's own issuer unless it names one. What cannot be compared is refused. */
function mayActOf(claims: JsonObject): MayAct | ExchangeError | undefined {
  if (!Object.hasOwn(claims, 'may_act')) return undefined
  const given = claims['may_act']
  const members: JsonObject = typeof given === 'object' && given !== null ? { ...given } : {}
  const { sub, iss = claim(claims, 'iss'), ...rest } = members
  if (typeof sub !== 'string' || typeof iss !== 'string' || Object.keys(rest).length > 0) {
    return invalid('subject_token: its may_act does not name one actor by sub, or by iss and sub.')
  }
  return { iss, sub }
}

type Both = { readonly subject: Identity; readonly actor: Identity }

function delegationProblem({ subject, actor }: Both, mayAct: MayAct | undefined, options: ExchangeOptions) {
  if (actor.onBehalfOf !== undefined)
    return 'actor_token: It acts for somebody already; an actor comes in its own name.'
  if (actor.kind === 'User') return 'actor_token: It is of a person; only agents and workloads act for others.'
  const chain = actChain(subject)
  if (chain.at(-1)!.kind !== 'User') return 'subject_token: It is of no person, and of nobody who acts for one.'
  if (chain.length >= CHAIN_LIMIT) return `subject_token: A chain has at most ${CHAIN_LIMIT} identities.`
  if (mayAct === undefined || isNamed(actor, mayAct, options)) return undefined
  return `subject_token: Its may_act does not name ${identityId(actor)}.`
}

function isNamed({ provider, subject }: Identity, { iss, sub }: MayAct, { local, issuers }: ExchangeOptions): boolean {
  const own = issuers().find((issuer) => issuer.provider === provider)?.url
  return sub === subject && iss === (provider === LOCAL_PROVIDER ? local.issuer : own)
}

/** An identity ends with the first of the chain. */
function delegated({ subject, actor }: Both): Identity {
  return { ...actor, onBehalfOf: subject, expiresAt: Math.min(actor.expiresAt, subject.expiresAt) }
}

async function issue(
  identity: Identity,
  mayAct: MayAct | undefined,
  { local }: ExchangeOptions,
): Promise<{ readonly identity: Identity; readonly issued: Issued } | ExchangeError> {
  const issued = await local.issue({ identity, expiresAt: identity.expiresAt, mayAct })
  if (issued !== undefined) return { identity: { ...identity, expiresAt: issued.expiresAt }, issued }
  return invalid('The token would be longer than 16 KiB: there are too many groups.')
}
