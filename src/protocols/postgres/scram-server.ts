import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { Fault } from '../../gateway/fault.ts'
import type { ScramVerifier } from '../../grants/scram-verifier.ts'

export type Mechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'

/**
 * The server's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677; the user name in it is ignored, as PostgreSQL
 * does). Fault `protocol` for what is malformed, or tied to another TLS connection.
 */
export type ScramServer = {
  /** Answers the client's first message. */
  serverFirst(clientFirst: Buffer): Buffer
  /** Whether the client's last message proves that it knows the password; what proves to the client that so does the verifier. */
  finish(clientFinal: Buffer): { readonly proven: boolean; readonly serverFinal: Buffer }
}

/** `binding` is the data of `tls-server-end-point`; absent: there is no TLS, or a certificate that has none. */
export type ScramServerOptions = {
  readonly mechanism: Mechanism
  readonly binding: Buffer | undefined
  readonly verifier: ScramVerifier
  readonly nonce?: string
}

/** `gs2-cbind-flag "," [authzid] "," username "," nonce`, without an authorization identity and without extensions. */
const CLIENT_FIRST = /^((n|y|p=tls-server-end-point),,)(n=[^,\0]*,r=([\x21-\x2b\x2d-\x7e]{1,512}))$/
/** `channel-binding "," nonce "," [extensions ","] proof`, in base64 that has one form only. */
const CLIENT_FINAL =
  /^(c=([A-Za-z0-9+/]+={0,2}),r=([\x21-\x2b\x2d-\x7e]+)(?:,[a-z]=[^,\0]*)*),p=([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)$/

export function createScramServer({ mechanism, binding, verifier, nonce }: ScramServerOptions): ScramServer {
  const ours = nonce ?? randomBytes(18).toString('base64')
  let header = ''
  let bothNonces = ''
  let signed = ''
  return {
    serverFirst: (message) => {
      const [, gs2, flag, bare, theirs] = CLIENT_FIRST.exec(message.toString('utf8')) ?? []
      if (gs2 === undefined || flag === undefined) throw new Fault('protocol', 'malformed SCRAM message of the client')
      checkFlag(flag, mechanism, binding)
      header = gs2
      bothNonces = `${theirs}${ours}`
      const first = `r=${bothNonces},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`
      signed = `${bare},${first}`
      return Buffer.from(first)
    },
    finish: (message) => {
      const [, withoutProof, bound, nonces, proof] = CLIENT_FINAL.exec(message.toString('utf8')) ?? []
      if (bothNonces === '' || withoutProof === undefined || nonces !== bothNonces)
        throw new Fault('protocol', 'malformed SCRAM message of the client')
      if (bound !== boundTo(header, mechanism, binding)) throw new Fault('protocol', OTHER_CONNECTION)
      const text = `${signed},${withoutProof}`
      const signature = hmac(verifier.serverKey, text)
      return {
        proven: isProof(Buffer.from(proof!, 'base64'), text, verifier),
        serverFinal: Buffer.from(`v=${signature.toString('base64')}`),
      }
    },
  }
}

const OTHER_CONNECTION = 'the SCRAM channel binding of the client is not that of this connection'

/** RFC 5802 section 6: with `y` the client says that the server offers no binding. Here it does: somebody is between them. */
function checkFlag(flag: string, mechanism: Mechanism, binding: Buffer | undefined): void {
  const plus = mechanism === 'SCRAM-SHA-256-PLUS'
  if (plus !== flag.startsWith('p=') || (flag === 'y' && binding)) throw new Fault('protocol', OTHER_CONNECTION)
}

function boundTo(header: string, mechanism: Mechanism, binding: Buffer | undefined): string {
  const data = mechanism === 'SCRAM-SHA-256-PLUS' ? binding : undefined
  return Buffer.concat([Buffer.from(header), data ?? Buffer.alloc(0)]).toString('base64')
}

/** The client's key is what makes its signature of the proof: the stored key is the hash of it. */
function isProof(proof: Buffer, text: string, { storedKey }: ScramVerifier): boolean {
  const signature = hmac(storedKey, text)
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ signature[index]!))
  return timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey)
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
