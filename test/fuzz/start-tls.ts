import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type SecureContext, type TLSSocket } from 'node:tls'
import { serverTls } from '../../src/gateway/certificate.ts'
import { str, u32, untyped, val } from '../frames-builder.ts'
import { TOKEN } from './fuzz-scene.ts'
import { whole } from './mutate.ts'
import type { Random } from './random.ts'

const SSL_REQUEST = untyped(u32(80_877_103))
/** What clients with OAUTHBEARER say, over TLS only ("OAUTHBEARER Authentication", RFC 7628). */
const asking = (user: string): Buffer =>
  untyped(u32(3 << 16), ...['user', user, 'database', 'orders'].map(str), Buffer.of(0))
const initial = (said: string | null, mechanism = 'OAUTHBEARER'): Buffer => whole('p', str(mechanism), val(said))
const bearer = (token: string): string => `n,,\u0001auth=${token}\u0001\u0001`
const DUMMY = whole('p', Buffer.from('\u0001'))
const SELECT = whole('Q', str('SELECT 1'))

/** By which a client gets in, or does not, over TLS. */
export const OVER_TLS: readonly (readonly Buffer[])[] = [
  [asking('oauth'), initial(bearer(`Bearer ${TOKEN}`)), SELECT],
  [asking('oauth:test'), initial(null), whole('p', Buffer.from(bearer(`Bearer ${TOKEN}`))), SELECT],
  [asking('oauth'), initial(bearer('')), DUMMY],
  [asking('oauth'), initial(bearer('Bearer other')), DUMMY],
  [asking('oauth'), initial(bearer(`Bearer ${TOKEN}`), 'SCRAM-SHA-256')],
  [asking('oauth:nobody'), whole('p', str(TOKEN)), SELECT],
  [asking('agent'), whole('p', str(TOKEN)), SELECT],
]

/** A certificate of the gateway's own. */
export async function tlsContext(): Promise<SecureContext> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-fuzz-'))
  try {
    return (await serverTls(directory, undefined, ['localhost'])).context
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** TLS on a connection: asked for, or begun at once; undefined when the connection ends before. */
export async function secure(socket: Socket, random: Random): Promise<TLSSocket | undefined> {
  const direct = random.once(2)
  if (!direct) {
    socket.write(SSL_REQUEST)
    const [answer] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown]
    if (!Buffer.isBuffer(answer) || answer.toString() !== 'S') return undefined
  }
  // The right protocol, another one, or none: without the right one nothing but an asked-for connection goes on.
  const ALPNProtocols = random.pick([['postgresql'], ['postgresql'], ['http/1.1'], undefined])
  const secured = connect({ socket, rejectUnauthorized: false, ALPNProtocols })
  secured.on('error', () => undefined)
  await Promise.race([once(secured, 'secureConnect'), once(secured, 'close')]).catch(() => undefined)
  return secured.closed || !secured.getProtocol() ? undefined : secured
}
