import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import { error, frame, ready, str, u32, untyped, val } from '../frames-builder.ts'
import { CALLS } from './calls.ts'
import { campaign } from './campaign.ts'
import { PATIENCE, SECRETS, TOKEN, type FuzzScene } from './fuzz-scene.ts'
import { CANCEL_KEY } from './fuzz-target.ts'
import type { Account, Ledger } from './ledger.ts'
import { chunks, mutate, whole } from './mutate.ts'
import { OVER_TLS, secure, tlsContext } from './start-tls.ts'
import { random, type Random } from './random.ts'
import type { Lived } from './run.ts'
import { backendProblem } from './wire-rules.ts'

/** The start, before anybody is known: clients and targets that begin as none would. */
const PASSWORD = whole('p', str(TOKEN))
const startup = (version: number, ...words: readonly string[]): Buffer =>
  untyped(u32(version), ...words.map(str), Buffer.of(0))
const initial = (response: string): Buffer => whole('p', str('OAUTHBEARER'), val(response))
const SSL_REQUEST = untyped(u32(80_877_103))
const GOOD = startup(3 << 16, 'user', 'agent', 'database', 'orders')
const CLIENT = [
  GOOD,
  GOOD,
  GOOD,
  PASSWORD,
  PASSWORD,
  SSL_REQUEST,
  untyped(u32(80_877_104)),
  untyped(u32(80_877_102), u32(4711), Buffer.from('abcd')),
  ...[0, 3, 32, 256, 257].map((size) => untyped(u32(80_877_102), u32(4711), Buffer.alloc(size, 'k'))),
  startup((3 << 16) | 9_999, 'user', 'agent', 'database', 'orders'),
  startup((3 << 16) | 2, 'user', 'agent', 'database', 'orders', '_pq_.command', 'x'),
  startup(3 << 16, 'user', 'agent', 'database', 'orders', 'options', '-c role=postgres'),
  startup(3 << 16, 'user', 'agent', 'database', 'orders', 'replication', 'true'),
  startup(3 << 16, 'user', 'agent', 'database', 'nowhere', 'TimeZone', 'UTC'),
  startup(2 << 16, 'user', 'agent'),
  whole('p', str('no-token')),
  initial(`n,,\u0001auth=Bearer ${TOKEN}\u0001\u0001`),
  initial('n,,\u0001auth=\u0001\u0001'),
  whole('p', str('OAUTHBEARER'), val(null)),
  whole('p', Buffer.from('\u0001')),
  startup(3 << 16, 'user', 'oauth', 'database', 'orders'),
  startup(3 << 16, 'user', 'grt_1', 'database', 'orders'),
  whole('p', str('SCRAM-SHA-256'), val('n,,n=,r=abc')),
  whole('p', Buffer.from(`c=biws,r=abc,p=${'A'.repeat(43)}=`)),
  ...CALLS,
  whole('Q', str('SELECT 1')),
  Buffer.from('1603010200010001fc0303', 'hex'),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
]
const TARGET = [
  frame('R', u32(0)),
  frame('R', u32(3)),
  frame('R', u32(5), Buffer.from('salt')),
  frame('R', u32(10), str('SCRAM-SHA-256'), Buffer.of(0)),
  frame('R', u32(11), Buffer.from('r=abc,s=YWJj,i=4096')),
  frame('R', u32(11), Buffer.from('r=,s=,i=2147483647')),
  frame('R', u32(12), Buffer.from('v=YWJj')),
  frame('S', str('server_version'), str('18.0')),
  frame('S', str('client_encoding'), str('UTF8')),
  frame('K', u32(4711), Buffer.from(CANCEL_KEY)),
  frame('v', u32(3 << 16), u32(0)),
  error({ S: 'FATAL', V: 'FATAL', C: '28P01', M: 'no' }),
  error({ S: 'NOTICE', V: 'NOTICE', C: '00000', M: 'so' }, 'N'),
  ready('I'),
  ...[3, 4, 255, 256, 257].map((size) => frame('K', u32(4711), Buffer.alloc(size, CANCEL_KEY))),
]
/** Of those, the ones of an orderly start. */
const ORDERLY = [0, 7, 8, 9, 13].map((at) => TARGET[at]!)
/** What a client may hear before a session has started, besides the single bytes S and N. */
const HEARD = 'RSKZEvN'
const TLS_ALERT = 0x15
const TLS_HANDSHAKE = 0x16

await campaign({ live, tls: await tlsContext(), target: { start: targetStarts } })

function targetStarts(account: Account | undefined): readonly Buffer[] {
  const chance = random(account?.seed ?? 0)
  if (!chance.once(2)) return ORDERLY
  const frames = ORDERLY.filter(() => !chance.once(12)).map((one) => (chance.once(6) ? chance.pick(TARGET) : one))
  return frames.map((one) => (chance.once(6) ? mutate(one, chance, TARGET) : one))
}

async function live({ port }: FuzzScene, ledger: Ledger, random: Random): Promise<Lived> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('error', () => undefined)
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined)
  if (socket.closed) return { frames: 0, problems: [] }
  ledger.expect(`127.0.0.1:${socket.localPort}`, random.below(1 << 30))
  const overTls = random.once(8)
  const sent = overTls
    ? random.pick(OVER_TLS)
    : random.once(3)
      ? [GOOD, PASSWORD]
      : Array.from({ length: 1 + random.below(4) }, () => random.pick(CLIENT))
  const said = sent.map((one) => (random.once(3) ? mutate(one, random, CLIENT) : one))
  if (overTls) {
    const secured = await secure(socket, random)
    return {
      frames: said.length,
      problems: secured ? await converse(secured, said, random) : await leave(socket, random),
    }
  }
  return { frames: said.length, problems: await converse(socket, said, random) }
}

async function converse(socket: Socket, said: readonly Buffer[], random: Random): Promise<readonly string[]> {
  const heard: Buffer[] = []
  socket.on('data', (chunk: Buffer) => heard.push(chunk))
  for (const piece of said.flatMap((one) => chunks(one, random))) if (socket.writable) socket.write(piece)
  await Promise.race([once(socket, 'close'), setTimeout(random.pick([0, 5, 50]))]).catch(() => undefined)
  return [...(await leave(socket, random)), ...judge(Buffer.concat(heard))]
}

async function leave(socket: Socket, random: Random): Promise<readonly string[]> {
  if (socket.closed) return []
  const way = random.pick(['end', 'destroy', 'resetAndDestroy'] as const)
  // A reset is the socket's below, which is not at hand here.
  socket[socket instanceof TLSSocket && way === 'resetAndDestroy' ? 'destroy' : way]()
  for (let left = PATIENCE / 20; left > 0 && !socket.closed; left--) await setTimeout(20)
  return socket.closed ? [] : ['the connection does not close']
}

/** Whole messages of the start, behind any answers to requests for encryption; what TLS says is not looked at. */
function judge(heard: Buffer): readonly string[] {
  const problems = SECRETS.filter((secret) => heard.includes(secret)).map((secret) => `a secret: ${secret}`)
  // A client that begins as TLS does is answered in TLS.
  if (heard[0] === TLS_ALERT || heard[0] === TLS_HANDSHAKE) return problems
  let at = 0
  let begun = false
  while ('SN'.includes(String.fromCharCode(heard[at] ?? 0)) && !isMessage(heard, at)) at++
  if (heard[0] === 0x53 && at > 0) return problems
  while (at < heard.length && isMessage(heard, at)) {
    const end = at + 1 + heard.readUInt32BE(at + 1)
    const message = heard.subarray(at, end)
    const letter = String.fromCharCode(message[0]!)
    const problem = 'RKv'.includes(letter) ? undefined : backendProblem(message)
    // Behind the first ReadyForQuery a session may answer what was sent ahead.
    if (problem !== undefined || !(begun || HEARD.includes(letter))) problems.push(problem ?? `${letter} at the start`)
    begun ||= letter === 'Z'
    at = end
  }
  return at < heard.length ? [...problems, `no message: ${heard.toString('latin1', at)}`] : problems
}

function isMessage(bytes: Buffer, at: number): boolean {
  if (bytes.length - at < 5) return false
  const length = bytes.readUInt32BE(at + 1)
  return length >= 4 && length <= 30_000 && bytes.length - at > length
}
