import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider, type Configuration } from 'oidc-provider'
import { signingKey } from '../idp.ts'

/** A real identity provider with the device flow (RFC 8628), for a person who allows it. */
export interface DeviceIdp extends AsyncDisposable {
  readonly issuer: string
  /** What the person does in a browser who types the code that the program shows. */
  allow(userCode: string, account: string): Promise<void>
}

export const CLIENT = 'psql'
const RESOURCE = 'urn:sallyport'
const DEVICE_FLOW = 'urn:ietf:params:oauth:grant-type:device_code'

/** `groups` of everybody who signs in. */
export async function startDeviceIdp(groups: readonly string[]): Promise<DeviceIdp> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, await configuration(groups))
  const answer = provider.callback()
  server.on('request', (request, response) => void answer(request, response))
  return {
    issuer,
    allow: (userCode, account) => allow(provider, userCode, account),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function configuration(groups: readonly string[]): Promise<Configuration> {
  return {
    jwks: { keys: [await signingKey()] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clients: [
      {
        client_id: CLIENT,
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: [DEVICE_FLOW],
        redirect_uris: [],
        response_types: [],
      },
    ],
    findAccount: (_context, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    extraTokenClaims: () => ({ groups }),
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: 'sallyport',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  }
}

async function allow(provider: Provider, userCode: string, accountId: string): Promise<void> {
  const code = await provider.DeviceCode.findByUserCode(userCode.replaceAll('-', ''))
  if (!code) throw new Error(`nobody was given the code ${userCode}`)
  const grant = new provider.Grant({ accountId, clientId: CLIENT })
  grant.addOIDCScope('openid')
  const allowed = { accountId, grantId: await grant.save(), scope: 'openid', resource: RESOURCE, authTime: 1 }
  await Object.assign(code, allowed).save()
}
