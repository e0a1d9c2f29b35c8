import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { Fault } from '../gateway/fault.ts'

const derive = promisify(pbkdf2)

/**
 * What PostgreSQL stores instead of a password, so that the password itself never reaches its log:
 * `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, all base64. RFC 5802 section 3, RFC 7677; the form is that
 * of `pg_authid.rolpassword`. Only printable ASCII, which SASLprep leaves as it is; Fault `usage` for anything else.
 */
export async function scramVerifier(
  password: string,
  salt: Uint8Array = randomBytes(16),
  iterations = 4096,
): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(password)) throw new Fault('usage', 'A generated password is printable ASCII.')
  const salted = await derive(password, salt, iterations, 32, 'sha256')
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64')
  const serverKey = hmac(salted, 'Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
