import { createHash, type X509Certificate } from 'node:crypto'

/**
 * What `tls-server-end-point` binds to (RFC 5929 section 4.1): the hash of the certificate by the algorithm of its own
 * signature, SHA-256 for MD5 and SHA-1. Other signatures have none.
 */
export function certificateHash(certificate: X509Certificate | undefined): Buffer | undefined {
  const algorithm = /(md5|sha-?1|sha-?256|sha-?384|sha-?512)/i.exec(certificate?.signatureAlgorithm ?? '')?.[1]
  if (!certificate || !algorithm) return undefined
  const bits = /384|512/.exec(algorithm)?.[0] ?? '256'
  return createHash(`sha${bits}`).update(certificate.raw).digest()
}
