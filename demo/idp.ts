import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import type { Adapter, AdapterPayload, Configuration, Provider } from 'oidc-provider'

/** Someone who can sign in at the provider. */
export type Account = {
  readonly id: string
  /** The address of the person, or of the one whom an agent belongs to: claim `email`, verified. */
  readonly email: string
  readonly groups: readonly string[]
  /** Claim `client_type`: `agent` for a program, absent for a person. */
  readonly type?: 'agent'
}

/** An OpenID Connect provider on loopback. */
export interface Idp extends AsyncDisposable {
  readonly issuer: string
  /** Signs an account in: a JWT access token (RFC 9068) for the audience `sallyport`, good for 8 hours. */
  token(account: string): Promise<string>
}

const TOKEN_S = 8 * 3600
/** What tokens are asked for (RFC 8707): a name of ours, nothing is found there. */
const RESOURCE = 'urn:sallyport'

const FEATURES: Configuration['features'] = {
  clientCredentials: { enabled: true },
  devInteractions: { enabled: false },
  resourceIndicators: {
    enabled: true,
    getResourceServerInfo: () => ({
      scope: '',
      audience: 'sallyport',
      accessTokenFormat: 'jwt',
      accessTokenTTL: TOKEN_S,
      jwt: { sign: { alg: 'ES256' } },
    }),
  },
}

/** Where the provider listens, 0 being anywhere, and what it publishes: the first key signs. */
export type IdpPlace = { readonly port?: number; readonly keys?: readonly JWK[] }

/**
 * Starts a real provider, with a key of its own unless some are given. Everybody signs in with client credentials (RFC
 * 6749 section 4.4), people too, because nobody sits at a browser: the tokens look the same.
 */
export async function startIdp(accounts: readonly Account[], { port = 0, keys }: IdpPlace = {}): Promise<Idp> {
  const secrets = new Map(accounts.map(({ id }) => [id, randomBytes(24).toString('base64url')]))
  const [OidcProvider, own] = await Promise.all([loadProvider(), keys ?? signingKey().then((key) => [key])])
  const server = createServer()
  const issuer = await listen(server, port)
  const answer = new OidcProvider(issuer, configuration(accounts, secrets, own)).callback()
  server.on('request', (request, response) => void answer(request, response))
  return {
    issuer,
    token: (account) => signIn(issuer, account, secrets.get(account) ?? ''),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function configuration(
  accounts: readonly Account[],
  secrets: ReadonlyMap<string, string>,
  keys: readonly JWK[],
): Configuration {
  return {
    adapter: memory,
    jwks: { keys: [...keys] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    ttl: { ClientCredentials: TOKEN_S },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clients: accounts.map(({ id }) => ({
      client_id: id,
      client_secret: secrets.get(id),
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
    })),
    extraTokenClaims: (_context, token) => claimsOf(accounts.find(({ id }) => id === token.clientId)),
    features: FEATURES,
  }
}

function claimsOf(account: Account | undefined): Record<string, unknown> {
  if (account === undefined) return {}
  const { email, groups, type } = account
  return { email, email_verified: true, groups, ...(type && { client_type: type }) }
}

/** The library warns, when it is loaded, of every Node that is not a long-term release yet. This code is tested with it. */
async function loadProvider(): Promise<typeof Provider> {
  const { warn } = console
  console.warn = (...words: unknown[]) =>
    String(words[0]).includes('Unsupported runtime') ? undefined : warn(...words)
  try {
    return (await import('oidc-provider')).Provider
  } finally {
    console.warn = warn
  }
}

/** A private key to sign with. */
export async function signingKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function signIn(issuer: string, id: string, secret: string): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret, resource: RESOURCE }
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) })
  const body = (await response.json()) as { readonly access_token?: string }
  if (body.access_token === undefined) throw new Error(`${id} cannot sign in: ${JSON.stringify(body)}`)
  return body.access_token
}

/** What the provider keeps, of one kind each, until it ends. Its own store is for development only, and says so. */
function memory(): Adapter {
  const kept = new Map<string, AdapterPayload>()
  const find = async (matches: (payload: AdapterPayload) => boolean): Promise<AdapterPayload | undefined> =>
    [...kept.values()].find(matches)
  return {
    upsert: async (id, payload) => void kept.set(id, payload),
    find: async (id) => kept.get(id),
    findByUid: (uid) => find((payload) => payload.uid === uid),
    findByUserCode: (code) => find((payload) => payload.userCode === code),
    consume: async (id) => void kept.set(id, { ...kept.get(id), consumed: Math.floor(Date.now() / 1000) }),
    destroy: async (id) => void kept.delete(id),
    revokeByGrantId: async (grant) => {
      for (const [id, { grantId }] of kept) if (grantId === grant) kept.delete(id)
    },
  }
}
