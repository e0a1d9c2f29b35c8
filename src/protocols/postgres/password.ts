import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { GrantId, Refusal } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Core } from '../../gateway/gateway.ts'
import { admitted, fromStore, wrongCredential, type Admitted } from '../../gateway/grant-use.ts'
import { certificateHash } from './certificate-hash.ts'
import { takeSecret } from './client.ts'
import { encodeAuthenticationSasl, encodeAuthenticationSaslContinue, encodeAuthenticationSaslFinal } from './encode.ts'
import { decodeSaslInitialResponse, decodeSaslResponse } from './messages-client.ts'
import { createScramServer, type Mechanism } from './scram-server.ts'

/**
 * The password of a grant, by SCRAM-SHA-256 ("SASL Authentication"): it never comes over the wire. Over TLS the exchange
 * may be tied to the gateway's certificate. A user that there is not is asked just as one that there is.
 */
export async function askPassword(
  socket: Socket,
  user: string,
  core: Core,
  deadline: AbortSignal,
): Promise<Admitted | { readonly refusal: Refusal }> {
  const binding = socket instanceof TLSSocket ? certificateHash(socket.getX509Certificate()) : undefined
  const offered: readonly Mechanism[] = [...(binding ? (['SCRAM-SHA-256-PLUS'] as const) : []), 'SCRAM-SHA-256']
  socket.write(encodeAuthenticationSasl(offered))
  const initial = decodeSaslInitialResponse(await takeSecret(socket, deadline))
  const mechanism = offered.find((one) => one === initial.mechanism)
  if (!mechanism) throw new Fault('protocol', 'the client chose a mechanism that was not offered')
  const verifier = await fromStore(() => core.grants.verifier(user))
  if ('refusal' in verifier) return verifier
  const scram = createScramServer({ mechanism, binding, verifier })
  const clientFirst = initial.data ?? (await challenge(socket, Buffer.alloc(0), deadline))
  const { proven, serverFinal } = scram.finish(await challenge(socket, scram.serverFirst(clientFirst), deadline))
  const who = await fromStore(async () => admitted(core, await core.grants.find(user as GrantId)))
  if (!proven) return { refusal: wrongCredential() }
  if ('identity' in who) socket.write(encodeAuthenticationSaslFinal(serverFinal))
  return who
}

async function challenge(socket: Socket, data: Buffer, deadline: AbortSignal): Promise<Buffer> {
  socket.write(encodeAuthenticationSaslContinue(data))
  return decodeSaslResponse(await takeSecret(socket, deadline))
}
