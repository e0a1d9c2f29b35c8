import { Secret } from '../gateway/secret.ts'
import type { LeaseSource } from '../grants/lease.ts'

/** What goes out with each request to an HTTP target. */
export type HeaderCredential = {
  /** In lower case. */
  readonly name: string
  readonly value: Secret
  /** The texts that must never come back to a client: the token, the password, their encoded form. */
  readonly secrets: readonly Secret[]
}

/** `bearer`: RFC 6750; `basic`: RFC 7617, the secret is `user:password`; `header`: a field of any name. */
export type StaticLogin =
  | { readonly from: 'bearer'; readonly token: Secret }
  | { readonly from: 'basic'; readonly login: Secret }
  | { readonly from: 'header'; readonly name: string; readonly value: Secret }

/** One credential for every session, kept by the gateway: there is nothing to make and nothing to revoke. */
export function staticLease(login: StaticLogin): LeaseSource<HeaderCredential> {
  return {
    take: async () => {
      const credential = credentialOf(login)
      return {
        name: login.from,
        credential,
        revoke: async () => {
          for (const secret of [credential.value, ...credential.secrets]) secret[Symbol.dispose]()
          return { verified: true }
        },
      }
    },
    sweep: async () => [],
    check: async () => [],
    [Symbol.asyncDispose]: async () => secretOf(login)[Symbol.dispose](),
  }
}

function credentialOf(login: StaticLogin): HeaderCredential {
  const secret = secretOf(login).reveal()
  if (login.from === 'header') return made(login.name, secret, [secret])
  if (login.from === 'bearer') return made('authorization', `Bearer ${secret}`, [secret])
  const encoded = Buffer.from(secret, 'utf8').toString('base64')
  return made('authorization', `Basic ${encoded}`, [encoded, secret.slice(secret.indexOf(':') + 1)])
}

function made(name: string, value: string, secrets: readonly string[]): HeaderCredential {
  return { name, value: new Secret(value), secrets: secrets.map((text) => new Secret(text)) }
}

function secretOf(login: StaticLogin): Secret {
  if (login.from === 'header') return login.value
  return login.from === 'bearer' ? login.token : login.login
}
