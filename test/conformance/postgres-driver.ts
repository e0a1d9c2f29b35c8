import type { RoleCredential } from '../../src/credentials/postgres-role.ts'
import type { RefusalCode } from '../../src/gateway/domain.ts'
import { startFake, type FakeClient, type FakeTarget as FakePostgres } from '../../src/protocols/postgres/fake.ts'
import type { PostgresTarget } from '../../src/protocols/postgres/postgres-target.ts'
import { postgres } from '../../src/protocols/postgres/postgres.ts'
import type { Entry } from '../../src/record/entry.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import { query, run, sync } from '../client-messages.ts'
import { dataRow, frame, ready, str, u32, untyped } from '../frames-builder.ts'
import { fields, rawConnect, rawOpen, show, type Message, type RawClient } from '../raw-client.ts'
import { deliver, type Behaviour } from './deliver.ts'
import { gatewayTo } from './door.ts'
import { TOKEN, type Client, type Driver, type FakeTarget, type Heard, type Word } from './driver.ts'
import { COLUMNS, done, honestTarget, isOwn, ROW } from './honest-target.ts'
import { HOSTILE } from './postgres-hostile.ts'
import { customersAt, LENT } from './postgres-scene.ts'

/** `simple`: by Query; `extended`: by Parse, Bind, Execute and Sync. */
export type Style = 'simple' | 'extended'

const TEXTS: Readonly<Record<Word, string>> = {
  allowed: 'SELECT name FROM customers WHERE id = 1',
  denied: 'DELETE FROM customers WHERE id = 1',
  held: `UPDATE customers SET name = 'Ada' WHERE id = 1`,
  masked: 'SELECT email, name FROM customers',
  bulk: 'SELECT name FROM customers',
}
const NAMES = [dataRow(null, 'Grace'), done('SELECT 1')]
const LONG_ROW = dataRow(null, 'x'.repeat(64 * 1024))
const LONG_ROWS = 384
const ROWS: Readonly<Record<Word, readonly Buffer[]>> = {
  allowed: NAMES,
  denied: NAMES,
  held: NAMES,
  masked: [ROW, dataRow('hidden-of-ada', 'ask ada@example.com'), ROW, done('SELECT 3')],
  bulk: [Buffer.alloc(LONG_ROW.length * LONG_ROWS, LONG_ROW), done(`SELECT ${LONG_ROWS}`)],
}

export function postgresDriver(reader: () => SqlReader, style: Style): Driver {
  const bytesOf = (word: Word): Buffer =>
    style === 'simple' ? query(TEXTS[word]) : Buffer.concat([run(TEXTS[word]), sync])
  return {
    name: `PostgreSQL, ${style}`,
    actions: { denied: 'sql.delete', held: 'sql.update' },
    secrets: ['ada@example.com', 'hidden-of-ada'],
    sensitive: 'hidden-of-ada',
    says: 'Grace',
    start: async ({ core, leases, handshakeMs }) => {
      const { target, port } = await startTarget(style)
      const gateway = gatewayTo<PostgresTarget, RoleCredential>(core, customersAt(reader(), port, leases(LENT)))
      const protocol = postgres({ handshakeMs })
      return { target, serve: (socket) => protocol.serve(socket, gateway, () => undefined) }
    },
    connect: async (port) => clientOver(await rawConnect({ port, password: TOKEN })),
    knock,
    bytesOf,
    hostile: HOSTILE,
    nonsense: NONSENSE.map((hex) => Buffer.from(hex, 'hex')),
    beginnings: {
      'a startup packet cut short': START.subarray(0, 9),
      'a startup packet, and no password': START,
      'a TLS handshake cut short': Buffer.from('160301', 'hex'),
      'an SSLRequest': Buffer.from('0000000804d2162f', 'hex'),
    },
  }
}

/** Lengths and versions that there are not, and a client that asks for TLS again and again. */
const NONSENSE = ['00000003', '7fffffff00030000', '000000090003000000', '474554202f', '0000000804d2162f'.repeat(4)]
const START = untyped(u32(3 << 16), ...['user', 'agent', 'database', 'orders'].map(str), Buffer.of(0))

async function knock(port: number, token = ''): Promise<Heard> {
  await using raw = await rawOpen(port)
  raw.send(START)
  await raw.until('R')
  raw.send(frame('p', str(token)))
  return await clientOver(raw).hear()
}

function clientOver(raw: RawClient): Client {
  return {
    socket: raw.socket,
    get received() {
      return raw.socket.bytesRead
    },
    said: () => raw.messages.map(inWords).join('\n'),
    send: (...bytes) => raw.send(...bytes),
    hear: async () => {
      const heard = await raw.ready().catch(() => raw.closed())
      return heardOf(heard)
    },
    [Symbol.asyncDispose]: () => raw[Symbol.asyncDispose](),
  }
}

/** Whole is what ends in ReadyForQuery. */
function heardOf(messages: readonly Message[]): Heard {
  const text = messages.map(inWords).join('\n')
  const error = messages.find(({ type }) => type === 'E')
  if (error) return { is: 'refusal', code: codeOf(error), text }
  return { is: messages.at(-1)?.type === 'Z' ? 'answer' : 'nothing', text }
}

function inWords(message: Message): string {
  const { type, body } = message
  return body.length > 4_096 ? `${type} of ${body.length} bytes` : show([message])[0]!
}

function codeOf({ body }: Message): RefusalCode | undefined {
  const detail = fields(body).get('D')
  return detail?.startsWith('{') ? (JSON.parse(detail) as { readonly code: RefusalCode }).code : undefined
}

async function startTarget(style: Style): Promise<{ readonly target: FakeTarget; readonly port: number }> {
  const ran: string[] = []
  const outlets = new Map<FakeClient, FakeClient>()
  let behaviour: Behaviour = { does: 'answer' }
  let taken = 0
  let asked = false
  const honest = honestTarget((text) => {
    if (isOwn(text)) return undefined
    const word = wordOf(text)
    ran.push(word ?? text)
    asked = true
    return style === 'simple' ? [COLUMNS, ...ROWS[word ?? 'allowed'], ready('I')] : ROWS[word ?? 'allowed']
  })!
  const outletOf = (client: FakeClient): FakeClient => {
    const known = outlets.get(client)
    if (known) return known
    let last = Promise.resolve()
    const send = (...messages: readonly Buffer[]): void => {
      const how: Behaviour = asked ? behaviour : { does: 'answer' }
      const note = asked ? (bytes: number): void => void (taken += bytes) : (): void => undefined
      asked = false
      last = last.then(() => deliver(Buffer.concat(messages), client, how, note))
    }
    const outlet = { ...client, send }
    outlets.set(client, outlet)
    return outlet
  }
  const fake = await startFake({ answer: (message, client) => honest(message, outletOf(client)) })
  const target: FakeTarget = {
    behave: (next) => {
      behaviour = next
      taken = 0
    },
    ran,
    get bytes() {
      return fake.received.reduce((sum, { bytes }) => sum + bytes.length, 0)
    },
    get taken() {
      return taken
    },
    get connections() {
      return fake.connections()
    },
    unpermitted: (entries) => unpermitted(fake, entries),
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  }
  return { target, port: fake.port }
}

function wordOf(text: string): Word | undefined {
  return (Object.keys(TEXTS) as Word[]).find((word) => TEXTS[word] === text)
}

/** Each Query and Execute needs an allowed operation of its own, each Parse an allowed one of its text. */
function unpermitted({ received }: FakePostgres, entries: readonly Entry[]): readonly string[] {
  const allowed = entries.flatMap((entry) => (entry.type === 'operation' && entry.decision === 'allow' ? [entry] : []))
  const left = allowed.filter(({ stage }) => stage === 'execute').map(({ text }) => text)
  const known = new Set(allowed.map(({ text }) => text))
  let prepared = ''
  return received.flatMap(({ type, bytes }) => {
    const letter = String.fromCharCode(type)
    if (letter === 'P') prepared = bytes.toString('utf8', 5).split('\0')[1]!
    const text = letter === 'Q' ? bytes.toString('utf8', 5, bytes.length - 1) : prepared
    if ('BDCSH'.includes(letter) || isOwn(text)) return []
    if (letter === 'P' && (known.has(text) || text.startsWith('sallyport refused'))) return []
    const at = 'QE'.includes(letter) ? left.indexOf(text) : -1
    if (at >= 0) left.splice(at, 1)
    return at >= 0 ? [] : [`${letter} ${text}`]
  })
}
