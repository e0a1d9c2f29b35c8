import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** An identity provider on loopback whose every part a test may change. */
export interface FakeIdp extends AsyncDisposable {
  readonly issuer: string
  /** Members of the discovery document, and the keys: what the next request gets. */
  metadata: Record<string, unknown>
  keys: JWK[]
  /** Answers instead, by path. */
  readonly instead: Map<string, Answer>
  /** Paths asked for, in order. */
  readonly asked: string[]
  /** Makes a key and publishes it. */
  addKey(kid: string, algorithm?: string): Promise<CryptoKey>
}

export const DISCOVERY = '/.well-known/openid-configuration'

export async function startIdp(): Promise<FakeIdp> {
  const server = createServer((request, response) => {
    const path = request.url!
    idp.asked.push(path)
    const bodies: Record<string, object> = { [DISCOVERY]: idp.metadata, '/jwks': { keys: idp.keys } }
    const instead = idp.instead.get(path)
    if (instead) instead(request, response)
    else response.writeHead(bodies[path] ? 200 : 404).end(JSON.stringify(bodies[path] ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const idp: FakeIdp = {
    issuer,
    metadata: { issuer, jwks_uri: `${issuer}/jwks` },
    keys: [],
    instead: new Map(),
    asked: [],
    async addKey(kid, algorithm = 'ES256') {
      const { publicKey, privateKey } = await generateKeyPair(algorithm)
      idp.keys.push({ ...(await exportJWK(publicKey)), kid, use: 'sig' })
      return privateKey
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return idp
}

/** A signed token; claims that are `undefined` are left out, text is taken as it is. */
export function sign(key: CryptoKey, header: object, claims: object | string): Promise<string> {
  const payload = typeof claims === 'string' ? claims : JSON.stringify(claims)
  return new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: 'ES256', ...header }).sign(key)
}
