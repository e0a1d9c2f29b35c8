import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import {
  calculateJwkThumbprint,
  compactVerify,
  type CryptoKey,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  SignJWT,
} from 'jose'
import type { Clock } from '../gateway/clock.ts'
import type { Identity, PrincipalKind } from '../gateway/domain.ts'
import { LOCAL_PROVIDER } from '../config/providers.ts'
import { Fault } from '../gateway/fault.ts'
import { actChain } from '../gateway/identity.ts'
import { claimsProblem, isPlainText, type MayAct } from './claims.ts'
import { readOrCreate } from './key-file.ts'
import { type Rejected, rejectToken } from './rejection.ts'
import type { JsonObject } from './strict-json.ts'
import { SIZE_LIMIT, type UnverifiedToken } from './token.ts'
import { claimsOf, identityFrom, LOCAL_NAME } from './token-claims.ts'

/** What `sallyport token create` asks for. `forMs`: 1 s to 30 days, an hour unless given. */
export type TokenRequest = {
  readonly kind: PrincipalKind
  /** `[A-Za-z0-9._@-]{1,100}`: becomes the subject. */
  readonly name: string
  readonly groups?: readonly string[]
  readonly person?: string
  readonly forMs?: number
}

/** A token for an identity that another one vouched for. */
export type IssueRequest = {
  readonly identity: Identity
  /** An hour from now at most; ms since the epoch. */
  readonly expiresAt: number
  /** Who may act for it (RFC 8693 section 4.4), if that was said. */
  readonly mayAct?: MayAct
}

/** A token as it is given out; `id` is its `jti`. Times in ms since the epoch, whole seconds. */
export type Issued = {
  readonly token: string
  readonly id: string
  readonly issuedAt: number
  readonly expiresAt: number
}

/** The gateway's own tokens: those of the provider `local`, and those that were exchanged for others. */
export interface LocalTokens {
  /** Their `iss` and `aud`: `sallyport:<installation>`. */
  readonly issuer: string
  /** The public key (RFC 8037), as a key set has it. */
  readonly publicKey: JWK
  /** Throws Fault `usage` for a request that no token can be made of. */
  mint(request: TokenRequest): Promise<string>
  /** Undefined when the token would be longer than 16 KiB: nobody could use it. */
  issue(request: IssueRequest): Promise<Issued | undefined>
  /** `providers`: the names of those in the config; who was vouched for by another comes in no more. */
  verify(token: UnverifiedToken, providers: ReadonlySet<string>): Promise<{ readonly identity: Identity } | Rejected>
}

const KINDS: readonly unknown[] = ['User', 'Agent', 'Workload'] satisfies readonly PrincipalKind[]
const GROUP_LIMIT = 100
/** Tokens that were exchanged for others, at most, in ms. */
export const ISSUED_MS = 3_600_000
const HOUR_MS = 3_600_000
const MAX_LIFE_MS = 30 * 24 * HOUR_MS

type Options = { readonly dataDir: string; readonly installation: string; readonly clock: Clock }

/**
 * Opens the tokens of an installation. The key is made on first use in `<dataDir>/keys/token.jwk` (mode 0600). Throws
 * Fault `identity` when it cannot be read or others than the owner can.
 */
export async function openLocalTokens({ dataDir, installation, clock }: Options): Promise<LocalTokens> {
  const text = await readOrCreate(join(dataDir, 'keys', 'token.jwk'), newKey)
  const key = await importKey(text)
  const issuer = `sallyport:${installation}`
  return {
    issuer,
    publicKey: { ...key.open, kid: key.id, alg: 'Ed25519', use: 'sig' },
    mint: (request) => mint(request, key, issuer, clock),
    issue: (request) => issue(request, key, issuer, clock),
    verify: (token, providers) => verify(token, providers, key, issuer, clock),
  }
}

type Key = { readonly private: CryptoKey; readonly public: CryptoKey; readonly open: JWK; readonly id: string }

async function newKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true })
  return JSON.stringify(await exportJWK(privateKey))
}

async function importKey(text: string): Promise<Key> {
  try {
    const { kty, crv, x, d } = JSON.parse(text) as JWK
    const open = { kty, crv, x }
    const [secret, published] = await Promise.all([importJWK({ ...open, d }, 'Ed25519'), importJWK(open, 'Ed25519')])
    const id = await calculateJwkThumbprint(open)
    return { private: secret as CryptoKey, public: published as CryptoKey, open, id }
  } catch {
    // The cause is left out: it may quote the key.
    throw new Fault('identity', 'keys/token.jwk in the data directory is not an Ed25519 private key (JWK)')
  }
}

async function mint(request: TokenRequest, key: Key, issuer: string, clock: Clock): Promise<string> {
  const { kind, name, groups = [], person, forMs = HOUR_MS } = request
  const problem = requestProblem({ kind, name, groups, person, forMs })
  if (problem !== undefined) throw new Fault('usage', problem)
  const now = Math.floor(clock.now() / 1000)
  const claims = { sub: name, kind, groups, ...(person !== undefined && { person }), jti: randomUUID() }
  return sign({ ...claims, iat: now, exp: now + Math.floor(forMs / 1000) }, key, issuer)
}

async function issue(
  { identity, expiresAt, mayAct }: IssueRequest,
  key: Key,
  issuer: string,
  clock: Clock,
): Promise<Issued | undefined> {
  const [iat, exp] = [clock.now(), Math.min(expiresAt, clock.now() + ISSUED_MS)].map((ms) => Math.floor(ms / 1000))
  const id = randomUUID()
  const token = await sign({ ...claimsOf(identity), may_act: mayAct, jti: id, iat, exp }, key, issuer)
  return token.length > SIZE_LIMIT ? undefined : { token, id, issuedAt: iat! * 1000, expiresAt: exp! * 1000 }
}

function sign(claims: JsonObject, key: Key, issuer: string): Promise<string> {
  return new SignJWT({ ...claims, iss: issuer, aud: issuer })
    .setProtectedHeader({ alg: 'Ed25519', typ: 'JWT', kid: key.id })
    .sign(key.private)
}

function requestProblem({ kind, name, groups, person, forMs }: TokenRequest): string | undefined {
  if (!KINDS.includes(kind)) return 'a token is for a User, an Agent or a Workload'
  if (!LOCAL_NAME.test(name)) return 'a name is 1 to 100 letters, digits, ".", "_", "@" and "-"'
  if (groups!.length > GROUP_LIMIT) return `a token has at most ${GROUP_LIMIT} groups`
  if (!groups!.every(isPlainText)) return 'a group is 1 to 255 characters of plain text'
  if (person !== undefined && !isPlainText(person)) return 'a person is 1 to 255 characters of plain text'
  if (!Number.isInteger(forMs) || forMs! < 1000 || forMs! > MAX_LIFE_MS) return 'a token lives for 1 second to 30 days'
  return undefined
}

async function verify(
  token: UnverifiedToken,
  providers: ReadonlySet<string>,
  key: Key,
  issuer: string,
  clock: Clock,
): Promise<{ readonly identity: Identity } | Rejected> {
  try {
    await compactVerify(token.text, key.public, { algorithms: ['Ed25519'] })
  } catch (error) {
    if (error instanceof errors.JOSEError) return rejectToken('has no valid signature', NEW_TOKEN)
    throw error
  }
  const exchanged = Object.hasOwn(token.claims, 'provider')
  const maxLifeMs = exchanged ? ISSUED_MS : MAX_LIFE_MS
  const expected = { issuer, audience: issuer, now: clock.now(), maxLifeMs, mayBeDelegated: exchanged }
  const problem = claimsProblem(token.claims, expected)
  if (problem !== undefined) return rejectToken(problem, NEW_TOKEN)
  const identity = identityFrom(token.claims)
  if (identity === undefined) return rejectToken('is malformed (claims)', NEW_TOKEN)
  const gone = actChain(identity).some(({ provider }) => provider !== LOCAL_PROVIDER && !providers.has(provider))
  return gone ? rejectToken('is of an identity provider that was removed from the gateway', NEW_TOKEN) : { identity }
}

const NEW_TOKEN = 'Get a new one, as you got this one: from the gateway, or by sallyport token create.'
