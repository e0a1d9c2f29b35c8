import { type JsonObject, parseObject } from './strict-json.ts'
import { type Rejected, rejectToken } from './rejection.ts'

/** A token taken apart and not verified: good for choosing who can verify it, and for nothing else. */
export type UnverifiedToken = { readonly text: string; readonly claims: JsonObject; readonly issuer: string }

/** Asymmetric signatures only (RFC 7518 section 3.1, RFC 8037, RFC 9864): an HMAC key would be shared with its issuer. */
export const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')

/** Characters of a token, at most. */
export const SIZE_LIMIT: number = 16 * 1024
const TYPES = ['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']
/** Header parameters with which a token would bring or point to its own key (RFC 7515 section 4.1). */
const OWN_KEYS = ['jwk', 'jku', 'x5c', 'x5u']

/** Reads a compact JWS (RFC 7515 section 7.1) that claims to be a JWT. At most 16 KiB. */
export function readToken(text: string): { readonly token: UnverifiedToken } | Rejected {
  if (text.length > SIZE_LIMIT) return rejectToken('is longer than 16 KiB')
  const parts = text.split('.')
  if (parts.length === 5) return rejectToken('is encrypted (JWE), which is not accepted')
  if (parts.length !== 3) return rejectToken('is not a token of a known issuer')
  const header = decodeObject(parts[0]!)
  if (header === undefined) return rejectToken('is malformed (header)')
  const problem = headerProblem(header)
  if (problem !== undefined) return rejectToken(problem)
  const claims = decodeObject(parts[1]!)
  if (claims === undefined) return rejectToken('is malformed (claims)')
  if (decode(parts[2]!) === undefined) return rejectToken('is malformed (signature)')
  const issuer = Object.hasOwn(claims, 'iss') ? claims['iss'] : undefined
  if (typeof issuer !== 'string' || issuer === '') return rejectToken('names no issuer (iss)')
  return { token: { text, claims, issuer } }
}

function decodeObject(part: string): JsonObject | undefined {
  const bytes = decode(part)
  return bytes && parseObject(bytes)
}

/** Base64url without padding (RFC 7515 section 2), in its one canonical spelling. */
function decode(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}

function headerProblem(header: JsonObject): string | undefined {
  const member = (name: string): unknown => (Object.hasOwn(header, name) ? header[name] : undefined)
  const [alg, typ, kid] = [member('alg'), member('typ'), member('kid')]
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) return 'is signed with an algorithm that is not accepted'
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.includes(typ.toLowerCase()))) {
    return 'is of a type that is not accepted (typ)'
  }
  if (kid !== undefined && typeof kid !== 'string') return 'is malformed (kid)'
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64'))
    return 'needs an extension that is not accepted (crit)'
  if (OWN_KEYS.some((name) => Object.hasOwn(header, name))) return 'brings its own key, which is not accepted'
  return undefined
}
