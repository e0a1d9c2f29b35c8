import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Fault } from '../gateway/fault.ts'

/** The Ed25519 pair (RFC 8032) that signs checkpoints. */
export type LogKey = { readonly privateKey: KeyObject; readonly publicKey: KeyObject }

/**
 * The key in `keys/log.pem` of the data directory (PKCS #8, mode 0600), made at first use; its public half (SPKI) is
 * written beside it as `keys/log.pub.pem`. Throws Fault `config` when the file may be read by others, is not such a key,
 * does not fit the public half, or is missing while the public half is there.
 */
export function loadLogKey(dataDir: string): LogKey {
  const dir = join(dataDir, 'keys')
  const path = join(dir, 'log.pem')
  const publicPath = join(dir, 'log.pub.pem')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (!existsSync(path)) {
    if (existsSync(publicPath)) throw new Fault('config', `${path} is missing, but ${publicPath} is there`)
    createFile(path, newPem(), 0o600)
  }
  const key = readKey(path)
  const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' })
  createFile(publicPath, publicPem, 0o644)
  if (readFileSync(publicPath, 'utf8') !== publicPem) throw new Fault('config', `${publicPath} does not fit ${path}`)
  return key
}

/** The public half alone, for `verifyLog`. Throws Fault `config`. */
export function readPublicKey(pem: string): KeyObject {
  try {
    const key = createPublicKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (error) {
    throw new Fault('config', 'the public key of the log is not readable', error)
  }
  throw new Fault('config', 'the public key of the log is not an Ed25519 key')
}

/** Hex SHA-256 over the DER form (SubjectPublicKeyInfo). */
export function fingerprint(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

function newPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
}

function readKey(path: string): LogKey {
  if ((statSync(path).mode & 0o077) !== 0) throw new Fault('config', `${path} may be read by others: chmod 600 it`)
  try {
    const privateKey = createPrivateKey(readFileSync(path))
    if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key')
    return { privateKey, publicKey: createPublicKey(privateKey) }
  } catch (error) {
    throw new Fault('config', `${path} is not an Ed25519 private key`, error)
  }
}

/** Whole or not at all, and never over an existing one: two starting gateways end up with the same file. */
function createFile(path: string, text: string, mode: number): void {
  if (existsSync(path)) return
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  const fd = openSync(draft, 'wx', mode)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    closeSync(fd)
    unlinkSync(draft)
  }
}
