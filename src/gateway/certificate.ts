import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { X509Certificate } from 'node:crypto'
import { Fault } from './fault.ts'
import type { Secret } from './secret.ts'

/** What the listeners show. `certificate` is PEM; the fingerprint is its SHA-256 as colon-separated hex. */
export type ServerTls = {
  readonly context: SecureContext
  readonly certificate: string
  readonly key: string
  readonly fingerprint: string
  readonly selfSigned: boolean
}

const YEAR_MS = 365 * 24 * 3_600_000

/**
 * The configured certificate, or one of the gateway's own, made once and kept in the data directory. Throws Fault
 * `config` when they are not PEM or do not belong together.
 */
export async function serverTls(
  dataDir: string,
  configured: { readonly cert: string; readonly key: Secret } | undefined,
  hosts: readonly string[],
): Promise<ServerTls> {
  const pair = configured
    ? { certificate: configured.cert, key: configured.key.reveal() }
    : await ownCertificate(join(dataDir, 'keys'), hosts)
  return {
    ...pair,
    ...usable(pair),
    selfSigned: configured === undefined,
  }
}

function usable({
  certificate,
  key,
}: {
  certificate: string
  key: string
}): Pick<ServerTls, 'context' | 'fingerprint'> {
  try {
    const context = createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
    return { context, fingerprint: new X509Certificate(certificate).fingerprint256 }
  } catch (error) {
    throw new Fault('config', 'the certificate and the key cannot be used together', error)
  }
}

async function ownCertificate(
  directory: string,
  hosts: readonly string[],
): Promise<{ certificate: string; key: string }> {
  const files = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key') }
  try {
    const kept = { certificate: await readFile(files.certificate, 'utf8'), key: await readFile(files.key, 'utf8') }
    if (Date.parse(new X509Certificate(kept.certificate).validTo) > Date.now()) return kept
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = await selfSigned(hosts)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(files.key, made.key, { mode: 0o600 })
  await writeFile(files.certificate, made.certificate, { mode: 0o644 })
  return made
}

async function selfSigned(hosts: readonly string[]): Promise<{ certificate: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const names = [...new Set(['localhost', '127.0.0.1', '::1', ...hosts])]
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Sallyport gateway',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + YEAR_MS),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replaceAll(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
  return { certificate: certificate.toString('pem'), key }
}
