import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { it } from 'node:test'
import { type Configuration, Provider } from 'oidc-provider'
import { systemClock } from '../gateway/clock.ts'
import { createAuthenticate } from './authenticate.ts'
import type { LocalTokens } from './local-tokens.ts'

const configuration: Configuration = {
  clients: [
    {
      client_id: 'bot',
      client_secret: 'bot-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  extraTokenClaims: () => ({ groups: ['data-agents', 'dba'] }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: '',
        audience: 'sallyport',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
      }),
    },
  },
}

it('accepts the access token (RFC 9068) that a real provider gives a client', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const answer = new Provider(issuer, configuration).callback()
  server.on('request', (request, response) => void answer(request, response))
  try {
    const form = {
      grant_type: 'client_credentials',
      client_id: 'bot',
      client_secret: 'bot-secret',
      resource: 'urn:sallyport',
    }
    const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) })
    const { access_token } = (await response.json()) as { access_token: string }
    const authenticate = createAuthenticate({
      providers: [
        {
          name: 'corp',
          kind: [{ kind: 'Agent', claims: {} }],
          mayAssert: ['data-*'],
          oidc: { issuer, audience: 'sallyport', groups: 'groups' },
        },
      ],
      local: { issuer: 'sallyport:00000000' } as LocalTokens,
      clock: systemClock,
    })
    const result = await authenticate(access_token)
    assert.ok('identity' in result, JSON.stringify(result))
    const { kind, subject, groups } = result.identity
    assert.deepEqual({ kind, subject, groups }, { kind: 'Agent', subject: 'bot', groups: ['data-agents'] })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
