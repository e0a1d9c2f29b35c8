/** What a token exchange asks for (RFC 8693 section 2.1). */
export type ExchangeRequest = {
  readonly subjectToken: string
  readonly actorToken?: string
  /** The type that the answer names: an access token unless a JWT was asked for. The token is the same. */
  readonly issuedType: string
}

/** `error` of RFC 6749 section 5.2 and RFC 8693 section 2.2.2; the last for what is nobody's fault who asks. */
export type ExchangeErrorCode =
  | 'invalid_request'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'temporarily_unavailable'

/** Why there is no token, in a sentence or more. */
export type ExchangeError = { readonly error: ExchangeErrorCode; readonly description: string }

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TYPE = 'urn:ietf:params:oauth:token-type:'
const ACCESS_TOKEN = `${TYPE}access_token`
const GIVEN_TYPES: readonly string[] = [ACCESS_TOKEN, `${TYPE}id_token`, `${TYPE}jwt`]
const ISSUED_TYPES: readonly string[] = [ACCESS_TOKEN, `${TYPE}jwt`]

/** They may stand several times. */
const LISTS: ReadonlySet<string> = new Set(['resource', 'audience'])

/**
 * Reads the body of a request for a token. `ownNames`: what the gateway may be called in `audience` and `resource`. Members
 * that are not known are ignored, empty ones count as absent (RFC 6749 section 3.2).
 */
export function readExchange(body: string, ownNames: readonly string[]): ExchangeRequest | ExchangeError {
  const form = new URLSearchParams(body)
  const twice = [...form.keys()].find((name) => !LISTS.has(name) && form.getAll(name).length > 1)
  if (twice !== undefined) return invalid('A parameter stands twice.')
  const value = (name: string): string | undefined => form.get(name) || undefined
  const grant = value('grant_type')
  if (grant === undefined) return invalid('grant_type is missing.')
  if (grant !== TOKEN_EXCHANGE)
    return { error: 'unsupported_grant_type', description: `grant_type is ${TOKEN_EXCHANGE}.` }
  const places = [...form.getAll('audience'), ...form.getAll('resource')].filter((place) => place !== '')
  if (!places.every((place) => ownNames.includes(place))) {
    return { error: 'invalid_target', description: `Tokens are for the gateway only: ${ownNames.join(' or ')}.` }
  }
  if (value('scope') !== undefined) {
    return { error: 'invalid_scope', description: 'Tokens of the gateway have no scope: leave it out.' }
  }
  return readTokens(value)
}

function readTokens(value: (name: string) => string | undefined): ExchangeRequest | ExchangeError {
  const [subjectToken, actorToken] = [value('subject_token'), value('actor_token')]
  const [subjectType, actorType] = [value('subject_token_type'), value('actor_token_type')]
  if (subjectToken === undefined) return invalid('subject_token is missing.')
  if (subjectType === undefined) return invalid('subject_token_type is missing.')
  if (actorToken !== undefined && actorType === undefined) return invalid('actor_token_type is missing.')
  if (actorToken === undefined && actorType !== undefined)
    return invalid('There is an actor_token_type, but no actor_token.')
  for (const [name, type] of [
    ['subject_token_type', subjectType],
    ['actor_token_type', actorType],
  ] as const) {
    if (type !== undefined && !GIVEN_TYPES.includes(type))
      return invalid(`${name} is one of ${GIVEN_TYPES.join(', ')}.`)
  }
  const issuedType = value('requested_token_type') ?? ACCESS_TOKEN
  if (!ISSUED_TYPES.includes(issuedType)) return invalid(`requested_token_type is one of ${ISSUED_TYPES.join(', ')}.`)
  return { subjectToken, issuedType, ...(actorToken !== undefined && { actorToken }) }
}

export function invalid(description: string): ExchangeError {
  return { error: 'invalid_request', description }
}
