import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { Fault } from '../gateway/fault.ts'

const derive = promisify(pbkdf2)

/** PostgreSQL's own defaults. */
const ITERATIONS = 4096
const SALT_BYTES = 16

/** What a password is checked against (RFC 5802 section 3). */
export type ScramVerifier = {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/**
 * What PostgreSQL stores instead of a password, so that the password itself never reaches its log:
 * `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, all base64. RFC 5802 section 3, RFC 7677; the form is that
 * of `pg_authid.rolpassword`. Only printable ASCII, which SASLprep leaves as it is; Fault `usage` for anything else.
 */
export async function scramVerifier(
  password: string,
  salt: Uint8Array = randomBytes(SALT_BYTES),
  iterations = ITERATIONS,
): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(password)) throw new Fault('usage', 'A generated password is printable ASCII.')
  const salted = await derive(password, salt, iterations, 32, 'sha256')
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64')
  const serverKey = hmac(salted, 'Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}

const VERIFIER = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/

/** What `scramVerifier` made. Fault `store` for anything else. */
export function readVerifier(text: string): ScramVerifier {
  const [, iterations, salt, storedKey, serverKey] = VERIFIER.exec(text) ?? []
  if (!iterations || !salt || !storedKey || !serverKey) throw new Fault('store', 'a stored SCRAM verifier is malformed')
  const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64')
  return { iterations: Number(iterations), salt: bytes(salt), storedKey: bytes(storedKey), serverKey: bytes(serverKey) }
}

/**
 * For a user that there is not: always the same for one name, as a real one would be, and no password fits it (as
 * PostgreSQL does it, mock_scram_secret in auth-scram.c). `key` is known to nobody else.
 */
export function mockVerifier(key: string, user: string): ScramVerifier {
  const made = (what: string): Buffer => hmac(Buffer.from(key), `${what} ${user}`)
  return {
    iterations: ITERATIONS,
    salt: made('salt').subarray(0, SALT_BYTES),
    storedKey: made('stored key'),
    serverKey: made('server key'),
  }
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
