import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Refusal } from '../../gateway/domain.ts'
import type { Core, Issuer } from '../../gateway/gateway.ts'
import { isGrantUser, type Admitted } from '../../gateway/grant-use.ts'
import { askToken } from './client.ts'
import { askBearer } from './oauth.ts'
import { askPassword } from './password.ts'
import { INVALID_PASSWORD } from './refusal.ts'

/** The user name that asks for OAUTHBEARER: with the first provider of the config, or with the one that it names. */
const OAUTH_USER = /^oauth(?::(.+))?$/

/** Who a client is, or why not; `state` is the SQLSTATE that says so, where it is not the refusal's own. */
export type Identified = Admitted | { readonly refusal: Refusal; readonly state?: string }

/**
 * Who a client is. A server can ask in one way only, and clients without OAUTHBEARER do not get over being asked for it:
 * so it is for those who ask for it, by their user name, over TLS. The user name of a grant asks for its password. All
 * others give the token as their password.
 */
export async function identify(
  client: Socket,
  user: string | undefined,
  core: Core,
  deadline: AbortSignal,
): Promise<Identified> {
  if (isGrantUser(user)) return badPassword(await askPassword(client, user, core, deadline))
  const { authenticate, issuers } = core
  const issuer = client instanceof TLSSocket ? issuerFor(user ?? '', issuers()) : undefined
  if (issuer) return askBearer(client, issuer, authenticate, deadline)
  return badPassword(await authenticate(await askToken(client, deadline)))
}

function badPassword(found: Identified): Identified {
  const bad = 'refusal' in found && found.refusal.code === 'identity'
  return bad ? { ...found, state: INVALID_PASSWORD } : found
}

function issuerFor(user: string, issuers: readonly Issuer[]): Issuer | undefined {
  const asked = OAUTH_USER.exec(user)
  if (!asked) return undefined
  const [, named] = asked
  return named === undefined ? issuers[0] : issuers.find(({ provider }) => provider === named)
}
