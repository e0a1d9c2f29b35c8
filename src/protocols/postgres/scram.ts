import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Fault } from '../../gateway/fault.ts'
import type { Secret } from '../../gateway/secret.ts'

const derive = promisify(pbkdf2)

/** PostgreSQL's default is 4096; more than the upper bound is a target that wants the gateway to burn its processor. */
const ITERATIONS = { min: 4096, max: 1_000_000 }

/** How the exchange is tied to the TLS connection (RFC 5929): the data, or why there is none. */
export type ChannelBinding =
  | { readonly kind: 'tls-server-end-point'; readonly data: Buffer }
  /** This side could, but the target does not offer it. */
  | { readonly kind: 'not offered' }
  | { readonly kind: 'none' }

/** The client's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677; PostgreSQL ignores the user name in it). */
export type ScramClient = {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  readonly clientFirst: Buffer
  /** Answers the target's first message. Fault `target` for one that is malformed, or weaker than it may be. */
  clientFinal(serverFirst: Buffer): Promise<Buffer>
  /** Fault `target` unless the target has proved that it knows the password too. */
  verify(serverFinal: Buffer): void
}

type Challenge = { readonly nonce: string; readonly salt: Buffer; readonly iterations: number }

/** `nonce` is printable ASCII without a comma. */
export function createScramClient(
  password: Secret,
  binding: ChannelBinding,
  nonce: string = randomBytes(18).toString('base64'),
): ScramClient {
  const header = gs2Header(binding)
  const bare = `n=,r=${nonce}`
  let serverSignature: Buffer | undefined
  return {
    mechanism: binding.kind === 'tls-server-end-point' ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256',
    clientFirst: Buffer.from(header + bare),
    clientFinal: async (message) => {
      const serverFirst = message.toString('utf8')
      const challenge = readServerFirst(serverFirst, nonce)
      const salted = await derive(saslPrep(password.reveal()), challenge.salt, challenge.iterations, 32, 'sha256')
      const withoutProof = `c=${bindingInput(header, binding).toString('base64')},r=${challenge.nonce}`
      const signed = `${bare},${serverFirst},${withoutProof}`
      serverSignature = hmac(hmac(salted, 'Server Key'), signed)
      return Buffer.from(`${withoutProof},p=${proof(salted, signed).toString('base64')}`)
    },
    verify: (message) => verifyServerFinal(message.toString('utf8'), serverSignature),
  }
}

function gs2Header(binding: ChannelBinding): string {
  if (binding.kind === 'tls-server-end-point') return 'p=tls-server-end-point,,'
  return binding.kind === 'not offered' ? 'y,,' : 'n,,'
}

function bindingInput(header: string, binding: ChannelBinding): Buffer {
  const data = binding.kind === 'tls-server-end-point' ? binding.data : Buffer.alloc(0)
  return Buffer.concat([Buffer.from(header), data])
}

/** `r=` nonce, `s=` salt, `i=` iterations, exactly: extensions (`m=`) must be refused (RFC 5802 section 5.1). */
function readServerFirst(message: string, ours: string): Challenge {
  const match = /^r=([\x21-\x2b\x2d-\x7e]{1,512}),s=([A-Za-z0-9+/]{1,512}={0,2}),i=([1-9][0-9]{0,9})$/.exec(message)
  if (!match) throw new Fault('target', 'the target sent a malformed SCRAM challenge')
  const [, nonce = '', salt = '', count = ''] = match
  const iterations = Number(count)
  if (!nonce.startsWith(ours) || nonce.length === ours.length)
    throw new Fault('target', "the target's SCRAM nonce does not extend ours")
  if (iterations < ITERATIONS.min || iterations > ITERATIONS.max)
    throw new Fault('target', `the target asks for ${iterations} SCRAM iterations`)
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations }
}

function verifyServerFinal(message: string, expected: Buffer | undefined): void {
  const match = /^v=([A-Za-z0-9+/]{43}=)$/.exec(message)
  if (!match || !expected || !timingSafeEqual(Buffer.from(match[1]!, 'base64'), expected))
    throw new Fault('target', 'the target did not prove that it knows the password')
}

function proof(salted: Buffer, signed: string): Buffer {
  const clientKey = hmac(salted, 'Client Key')
  const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
  return Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!))
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/**
 * SASLprep (RFC 4013) as far as it changes a password: characters mapped to nothing (RFC 3454 table B.1), spaces (C.1.2),
 * NFKC. PostgreSQL takes a password with prohibited characters as it is; such a one is not supported here.
 */
function saslPrep(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(/\u034f|\u200d|[\u00ad\u1806\u200c\u2060\ufeff]|[\u180b-\u180d]|[\ufe00-\ufe0f]/g, '')
    .normalize('NFKC')
}
