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
import { claim, claimsProblem, isPlainText } from './claims.ts'
import { readOrCreate } from './key-file.ts'
import { type Rejected, rejectToken } from './rejection.ts'
import type { UnverifiedToken } from './token.ts'

/** What `sallyport token create` asks for. `forMs`: 1 s to 30 days, an hour unless given. */
export type TokenRequest = {
  readonly kind: PrincipalKind
  /** `[A-Za-z0-9._@-]{1,100}`: becomes the subject. */
  readonly name: string
  readonly groups?: readonly string[]
  readonly person?: string
  readonly forMs?: number
}

/** The gateway's own tokens, of the provider `local`. */
export interface LocalTokens {
  /** Their `iss` and `aud`: `sallyport:<installation>`. */
  readonly issuer: string
  /** Throws Fault `usage` for a request that no token can be made of. */
  mint(request: TokenRequest): Promise<string>
  verify(token: UnverifiedToken): Promise<{ readonly identity: Identity } | Rejected>
}

const KINDS: readonly unknown[] = ['User', 'Agent', 'Workload'] satisfies readonly PrincipalKind[]
const NAME = /^[A-Za-z0-9._@-]{1,100}$/
const GROUP_LIMIT = 100
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
    mint: (request) => mint(request, key, issuer, clock),
    verify: (token) => verify(token, key, issuer, clock),
  }
}

type Key = { readonly private: CryptoKey; readonly public: CryptoKey; readonly id: string }

async function newKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true })
  return JSON.stringify(await exportJWK(privateKey))
}

async function importKey(text: string): Promise<Key> {
  try {
    const { kty, crv, x, d } = JSON.parse(text) as JWK
    const open = { kty, crv, x }
    const [secret, published] = await Promise.all([importJWK({ ...open, d }, 'Ed25519'), importJWK(open, 'Ed25519')])
    return { private: secret as CryptoKey, public: published as CryptoKey, id: await calculateJwkThumbprint(open) }
  } catch {
    // The cause is left out: it may quote the key.
    throw new Fault('identity', 'keys/token.jwk in the data directory is not an Ed25519 private key (JWK)')
  }
}

async function mint(request: TokenRequest, key: Key, issuer: string, clock: Clock): Promise<string> {
  const { kind, name, groups = [], person, forMs = HOUR_MS } = request
  const problem = requestProblem({ kind, name, groups, person, forMs })
  if (problem !== undefined) throw new Fault('usage', problem)
  const iat = Math.floor(clock.now() / 1000)
  const claims = { kind, groups, ...(person !== undefined && { person }), jti: randomUUID() }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'Ed25519', typ: 'JWT', kid: key.id })
    .setIssuer(issuer)
    .setAudience(issuer)
    .setSubject(name)
    .setIssuedAt(iat)
    .setExpirationTime(iat + Math.floor(forMs / 1000))
    .sign(key.private)
}

function requestProblem({ kind, name, groups, person, forMs }: TokenRequest): string | undefined {
  if (!KINDS.includes(kind)) return 'a token is for a User, an Agent or a Workload'
  if (!NAME.test(name)) return 'a name is 1 to 100 letters, digits, ".", "_", "@" and "-"'
  if (groups!.length > GROUP_LIMIT) return `a token has at most ${GROUP_LIMIT} groups`
  if (!groups!.every(isPlainText)) return 'a group is 1 to 255 characters of plain text'
  if (person !== undefined && !isPlainText(person)) return 'a person is 1 to 255 characters of plain text'
  if (!Number.isInteger(forMs) || forMs! < 1000 || forMs! > MAX_LIFE_MS) return 'a token lives for 1 second to 30 days'
  return undefined
}

async function verify(
  token: UnverifiedToken,
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
  const expected = { issuer, audience: issuer, now: clock.now(), maxLifeMs: MAX_LIFE_MS }
  const problem = claimsProblem(token.claims, expected)
  if (problem !== undefined) return rejectToken(problem, NEW_TOKEN)
  const identity = readIdentity(token)
  return identity ? { identity } : rejectToken('is malformed (claims)', NEW_TOKEN)
}

const NEW_TOKEN = 'Ask for a new token: sallyport token create.'

function readIdentity({ claims }: UnverifiedToken): Identity | undefined {
  const [kind, subject, groups] = [claim(claims, 'kind'), claim(claims, 'sub'), claim(claims, 'groups')]
  const [person, exp] = [claim(claims, 'person'), claim(claims, 'exp') as number]
  if (!KINDS.includes(kind) || !NAME.test(String(subject))) return undefined
  if (!Array.isArray(groups) || !groups.every(isPlainText)) return undefined
  if (person !== undefined && !isPlainText(person)) return undefined
  return {
    kind: kind as PrincipalKind,
    provider: LOCAL_PROVIDER,
    subject: subject as string,
    groups,
    ...(person !== undefined && { person }),
    expiresAt: Math.floor(exp * 1000),
  }
}
