import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chownSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { connect as connectTcp, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { TLSSocketOptions } from 'node:tls'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { startPostgres } from '../../../test/postgres.ts'
import type { TestPostgres } from '../../../test/postgres.ts'
import { Fault } from '../../gateway/fault.ts'
import { Secret } from '../../gateway/secret.ts'
import {
  encodeBind,
  encodeDescribe,
  encodeExecute,
  encodeNegotiateProtocolVersion,
  encodeParse,
  encodeQuery,
  encodeStartup,
  encodeSync,
} from './encode.ts'
import { FrameReader } from './frames.ts'
import type { Frame } from './frames.ts'
import { BACKEND, backendName } from './message-types.ts'
import type { Format } from './messages-client.ts'
import {
  decodeDataRow,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  decodeRowDescription,
} from './messages-target.ts'
import { placeholder, typesWithPlaceholder } from './placeholders.ts'
import { cancelTarget, connectTarget } from './target.ts'
import type { TargetConnection, TargetOptions } from './target.ts'
import { createAttempt, openSocket, receive } from './target-socket.ts'

/** Changed by SASLprep: a ligature, a soft hyphen, a no-break space. */
const PASSWORD = 'p\u00e4\ufb01\u00ad\u00a0word'

let server: TestPostgres
let directory: string
let certificate: string

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sallyport-tls-'))
  certificate = await writeCertificate(directory)
  const files = [`ssl_cert_file=${join(directory, 'crt')}`, `ssl_key_file=${join(directory, 'key')}`]
  server = await startPostgres({ settings: ['ssl=on', ...files] })
  await server.query(`CREATE ROLE ada LOGIN PASSWORD '${PASSWORD}'`)
})

after(async () => {
  await server?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

describe('connectTarget against PostgreSQL', () => {
  it('authenticates by SCRAM without TLS, and by SCRAM bound to the certificate with it', async () => {
    for (const mode of ['disable', 'prefer', 'require'] as const) {
      const connection = await connect({ tls: { mode, host: 'localhost' } })
      assert.equal(connection.parameters.get('client_encoding'), 'UTF8')
      assert.equal(connection.backendKey.key.length, 4)
      const rows = await ask(connection, encodeQuery('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'))
      assert.deepEqual(values(rows), [[mode === 'disable' ? 'f' : 't']])
      connection.socket.destroy()
    }
  })

  it('checks the certificate and, at verify-full, its name', async () => {
    for (const mode of ['require', 'verify-ca', 'verify-full'] as const) {
      const trusting = await connect({ tls: { mode, ca: certificate, host: 'localhost' } })
      trusting.socket.destroy()
    }
    const other = await connect({ tls: { mode: 'verify-ca', ca: certificate, host: 'other.example' } })
    other.socket.destroy()
    await assert.rejects(
      connect({ tls: { mode: 'verify-full', ca: certificate, host: 'other.example' } }),
      isTargetFault,
    )
    await assert.rejects(connect({ tls: { mode: 'verify-ca', host: 'localhost' } }), isTargetFault)
    const foreign = await writeCertificate()
    await assert.rejects(connect({ tls: { mode: 'require', ca: foreign, host: 'localhost' } }), isTargetFault)
  })

  it('is not taken in by a relay that shows another certificate, even where none is checked', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-relay-'))
    await writeCertificate(directory)
    const relay = await startRelay(directory)
    const { port } = relay.address() as AddressInfo
    await assert.rejects(connect({ port, tls: { mode: 'require', host: 'localhost' } }), /channel binding/)
    relay.close()
    await rm(directory, { recursive: true, force: true })
  })

  it('reports a wrong password and a missing database with their SQLSTATE', async () => {
    await assert.rejects(connect({ password: new Secret('wrong') }), /28P01/)
    await assert.rejects(connect({ database: 'nowhere' }), /3D000/)
  })

  it('cancels a running statement, in clear and over TLS', async () => {
    for (const mode of ['disable', 'verify-full'] as const) {
      const tls = { mode, ca: certificate, host: 'localhost' }
      const connection = await connect({ tls })
      const sleeping = ask(connection, encodeQuery('SELECT pg_sleep(60)'))
      await waitUntilAsleep()
      await cancelTarget({ host: '127.0.0.1', port: server.port, tls, key: connection.backendKey, timeoutMs: 5_000 })
      const error = (await sleeping).find((frame) => frame.type === BACKEND.ErrorResponse)!
      assert.equal(decodeErrorFields(error).get('C'), '57014')
      connection.socket.destroy()
    }
  })
})

describe('protocol versions', () => {
  it('are negotiated by PostgreSQL with major and minor in one number', async () => {
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.write(encodeStartup([['user', 'ada']], 9))
    const [first] = new FrameReader(() => 30_000).push(await receive(socket))
    assert.deepEqual(decodeNegotiateProtocolVersion(first!), { version: 0x30002, options: [] })
    assert.deepEqual(first!.bytes, encodeNegotiateProtocolVersion(2, []))
    socket.destroy()
  })
})

describe('a captured session', () => {
  it('gives the same frames for every split', async () => {
    const connection = await connect({})
    const frames = await ask(
      connection,
      encodeQuery(
        "DO $$BEGIN RAISE NOTICE 'é'; END$$; SELECT 1 AS n, NULL, repeat('x', 50); LISTEN a; NOTIFY a, 'p'; SELECT 1/0",
      ),
    )
    connection.socket.destroy()
    const bytes = Buffer.concat(frames.map((frame) => frame.bytes))
    assert.deepEqual(new Set(frames.map((frame) => backendName(frame.type))).has(undefined), false)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new FrameReader(() => 1 << 20)
      assert.deepEqual([...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))], frames)
    }
  })

  it('has the origin of columns in RowDescription, a whole row as column 0', async () => {
    await server.query('CREATE TABLE customers (id int, email text); GRANT SELECT ON customers TO ada')
    const connection = await connect({})
    const frames = await ask(connection, encodeQuery('SELECT email, id + 1, c, tableoid FROM customers c'))
    const fields = decodeRowDescription(frames[0]!).map(({ tableOid, columnNumber }) => [tableOid > 0, columnNumber])
    connection.socket.destroy()
    assert.deepEqual(fields, [
      [true, 2],
      [false, 0],
      [true, 0],
      [true, -6],
    ])
  })
})

describe('placeholders', () => {
  it('come back from PostgreSQL as they went, in both formats', async () => {
    const connection = await connect({})
    for (const type of typesWithPlaceholder().filter((oid) => !NO_PARAMETERS.has(oid)))
      for (const format of [0, 1] as const) {
        const value = placeholder(type, format)
        const frames = await ask(connection, echo(type, format, value))
        const error = frames.find((frame) => frame.type === BACKEND.ErrorResponse)
        assert.equal(error && decodeErrorFields(error).get('M'), undefined, `type ${type}, format ${format}`)
        const row = frames.find((frame) => frame.type === BACKEND.DataRow)!
        assert.deepEqual(decodeDataRow(row), [value], `type ${type}, format ${format}`)
      }
    connection.socket.destroy()
  })
})

/** Pseudo-types: no parameter or column of a table has them. */
const NO_PARAMETERS: ReadonlySet<number> = new Set([705, 2275])

function echo(type: number, format: Format, value: Buffer | null): Buffer {
  const bind = { portal: '', statement: '', formats: [format], parameters: [value], resultFormats: [format] }
  const parse = encodeParse('', 'SELECT $1', [type])
  return Buffer.concat([parse, encodeBind(bind), encodeDescribe('P', ''), encodeExecute(''), encodeSync()])
}

function connect(more: Partial<TargetOptions>): Promise<TargetConnection> {
  return connectTarget({
    host: '127.0.0.1',
    port: server.port,
    database: 'postgres',
    user: 'ada',
    password: new Secret(PASSWORD),
    parameters: { client_encoding: 'UTF8', TimeZone: 'UTC' },
    tls: { mode: 'disable', host: 'localhost' },
    timeoutMs: 10_000,
    ...more,
  })
}

/** The answer up to ReadyForQuery. */
async function ask({ socket }: TargetConnection, message: Buffer): Promise<Frame[]> {
  const reader = new FrameReader(() => 1 << 24)
  const frames: Frame[] = []
  socket.write(message)
  while (frames.at(-1)?.type !== BACKEND.ReadyForQuery) frames.push(...reader.push(await receive(socket)))
  return frames
}

function values(frames: readonly Frame[]): (string | undefined)[][] {
  const rows = frames.filter((frame) => frame.type === BACKEND.DataRow)
  return rows.map((row) => decodeDataRow(row).map((value) => value?.toString()))
}

async function waitUntilAsleep(): Promise<void> {
  const sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
  while ((await server.query(sql)).length === 0) await new Promise(setImmediate)
}

function isTargetFault(error: unknown): boolean {
  return error instanceof Fault && error.code === 'target'
}

/** A self-signed one for `localhost`; with `directory` also as files that the server may read. The PEM. */
async function writeCertificate(directory?: string): Promise<string> {
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  })
  const pem = made.toString('pem')
  if (!directory) return pem
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  await writeFile(join(directory, 'crt'), pem)
  await writeFile(join(directory, 'key'), key, { mode: 0o600 })
  giveToServer(directory)
  return pem
}

/** Ends TLS with its own certificate and opens it anew to the server: what a man in the middle does. */
async function startRelay(directory: string): Promise<Server> {
  const [cert, key] = await Promise.all(['crt', 'key'].map((file) => readFile(join(directory, file))))
  const relay = createServer((client) => void interpose(client, { isServer: true, cert, key }))
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  return relay
}

async function interpose(client: Socket, own: TLSSocketOptions): Promise<void> {
  client.on('error', () => undefined)
  await receive(client)
  client.write('S')
  const near = new TLSSocket(client, own)
  using attempt = createAttempt(10_000)
  const tls = { mode: 'require', host: 'localhost' } as const
  const far = await openSocket({ host: '127.0.0.1', port: server.port, tls }, attempt)
  attempt.keep()
  near.on('error', () => far.destroy())
  near.pipe(far).pipe(near)
}

/** Run by root, the server is `nobody`, whose files these must be. */
function giveToServer(directory: string): void {
  if (userInfo().uid !== 0) return
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  for (const path of [directory, join(directory, 'crt'), join(directory, 'key')]) chownSync(path, id('-u'), id('-g'))
}
