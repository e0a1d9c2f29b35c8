import type { Socket } from 'node:net'
import type { Identity, Refusal } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Core, Issuer } from '../../gateway/gateway.ts'
import { refuse } from '../../gateway/refusals.ts'
import { takeSecret } from './client.ts'
import { encodeAuthenticationSasl, encodeAuthenticationSaslContinue } from './encode.ts'
import { decodeSaslInitialResponse, decodeSaslResponse } from './messages-client.ts'

const MECHANISM = 'OAUTHBEARER'
/** What a client asks its issuer for, unless it was told otherwise: the token's audience is what counts here. */
const SCOPE = 'openid'
/** Between the fields of a message, and all of a client's answer to a failure (RFC 7628 section 3.1). */
const SEPARATOR = '\u0001'
/** `gs2-header kvsep *kvpair kvsep`, without an authorization identity and without channel binding. */
// oxlint-disable-next-line no-control-regex
const CLIENT_RESPONSE = /^[ny],,\x01((?:[A-Za-z]+=[\t\n\r\x20-\x7e]*\x01)*)\x01$/
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i

/**
 * The server's side of the SASL mechanism OAUTHBEARER (RFC 7628; "OAUTHBEARER Authentication"): the token is checked by
 * `authenticate`. Whoever has none, or one that is not taken, is told of the issuer. Fault `protocol` for anything else.
 */
export async function askBearer(
  socket: Socket,
  issuer: Issuer,
  authenticate: Core['authenticate'],
  deadline: AbortSignal,
): Promise<{ readonly identity: Identity } | { readonly refusal: Refusal }> {
  socket.write(encodeAuthenticationSasl([MECHANISM]))
  const initial = decodeSaslInitialResponse(await takeSecret(socket, deadline))
  if (initial.mechanism !== MECHANISM) throw new Fault('protocol', 'the client chose a mechanism that was not offered')
  const token = readClientResponse(initial.data ?? (await challenge(socket, Buffer.alloc(0), deadline)))
  const authenticated = token === undefined ? { refusal: noToken() } : await authenticate(token)
  if ('identity' in authenticated) return authenticated
  const dummy = await challenge(socket, Buffer.from(failure(issuer)), deadline)
  if (dummy.toString('latin1') !== SEPARATOR) throw new Fault('protocol', 'the client goes on after a failure')
  return authenticated
}

async function challenge(socket: Socket, data: Buffer, deadline: AbortSignal): Promise<Buffer> {
  socket.write(encodeAuthenticationSaslContinue(data))
  return decodeSaslResponse(await takeSecret(socket, deadline))
}

/** The token in a client's first response; undefined when it has none. Fault `protocol` for a malformed response. */
function readClientResponse(data: Buffer): string | undefined {
  const pairs = CLIENT_RESPONSE.exec(data.toString('latin1'))?.[1]?.split(SEPARATOR) ?? []
  const [auth, ...more] = pairs.filter((pair) => pair.startsWith('auth='))
  if (auth === undefined || more.length > 0) throw new Fault('protocol', `malformed ${MECHANISM} response`)
  const value = auth.slice('auth='.length)
  if (value === '') return undefined
  const token = BEARER.exec(value)?.[1]
  if (token === undefined) throw new Fault('protocol', `malformed ${MECHANISM} response: no bearer token`)
  return token
}

/** RFC 7628 section 3.2.2. The client takes the issuer's name from the address, exactly: nothing of it is changed. */
function failure({ url }: Issuer): string {
  const configuration = `${url}/.well-known/openid-configuration`
  return JSON.stringify({ status: 'invalid_token', 'openid-configuration': configuration, scope: SCOPE })
}

function noToken(): Refusal {
  return refuse('identity', 'The client has no token yet; it was told where to get one.', [
    { do: 'change', hint: 'Connect with a token of that issuer.' },
  ])
}
