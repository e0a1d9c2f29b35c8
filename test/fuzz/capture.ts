import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import type { CatalogRelation } from '../../src/sql/catalog.ts'
import { bind, close, describePortal, describeStatement, execute, flush, parse, sync } from '../client-messages.ts'
import { query, run as runUnnamed } from '../client-messages.ts'
import { frame, str } from '../frames-builder.ts'
import { startPostgres, type TestPostgres } from '../postgres.ts'
import { rawConnect } from '../raw-client.ts'
import { CORPUS, PLACE, type Recorded } from './corpus.ts'

/**
 * Makes `test/fuzz/corpus` again: `node test/fuzz/capture.ts`. Real clients talk to a real PostgreSQL through a proxy
 * that keeps every message from the first ReadyForQuery on. Needs psql and pgbench on the machine. What differs from run
 * to run (process ids) is written as a constant; passwords are in the start, which is not kept.
 */

const SHOP = `
CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, phone text, name text, note text);
INSERT INTO customers VALUES (1, 'ada@example.com', 'HUSH-0001-HUSH', 'Ada', 'Likes engines.'),
  (2, 'bob@example.com', 'HUSH-0002-HUSH', 'Bob', NULL), (3, 'eve@example.com', 'HUSH-0003-HUSH', 'Eve', 'Listens.');
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric(10,2), paid boolean, at timestamptz);
INSERT INTO orders SELECT n, 1 + n % 3, n * 1.5, n % 2 = 0, timestamptz '2026-01-01 00:00+00' + n * interval '1 day'
  FROM generate_series(1, 40) n;
CREATE VIEW open_orders AS SELECT id, customer, total FROM orders WHERE NOT paid;
CREATE ROLE visitor LOGIN SUPERUSER PASSWORD 'visitor';
`
/** The columns that the gateway under test hides. */
const SENSITIVE = new Set(['customers.email', 'customers.phone'])

type Take = (from: 'client' | 'target', bytes: Buffer) => void
type Session = { readonly name: string; readonly talk: (port: number, directory: string) => Promise<void> }

const promised = promisify(execFile)
const PSQL: Readonly<Record<string, string>> = {
  'psql-simple': `
    SELECT id, email, phone, name FROM customers ORDER BY id;
    SELECT count(*), sum(total) FROM orders; SELECT 1 AS one\\; SELECT 2 AS two, NULL AS nothing;
    INSERT INTO customers VALUES (4, 'dan@example.com', 'HUSH-0004-HUSH', 'Dan', '');
    UPDATE customers SET note = 'x' WHERE id = 4; DELETE FROM customers WHERE id = 4;
    SELECT * FROM open_orders LIMIT 3; SHOW server_version_num; SELECT '';`,
  'psql-errors': `
    SELEC 1; SELECT 1/0; SELECT * FROM nowhere; INSERT INTO customers VALUES (9, 'ada@example.com', '', '', '');
    SELECT email::int FROM customers; DROP TABLE IF EXISTS nowhere; SELECT 1/0\\; SELECT 2;`,
  'psql-transactions': `
    BEGIN; DECLARE c CURSOR FOR SELECT id, email, name FROM customers ORDER BY id; FETCH 2 FROM c; FETCH 2 FROM c; CLOSE c;
    SAVEPOINT a; SELECT 1/0; SELECT 1; ROLLBACK TO a; UPDATE orders SET paid = true WHERE id = 1; ROLLBACK;
    BEGIN; COMMIT; COMMIT; PREPARE p AS SELECT id, email FROM customers WHERE id = $1; EXECUTE p(1); DEALLOCATE p;`,
  'psql-describe': '\\d customers\n\\dt\n\\conninfo\n',
  'psql-notify': `LISTEN news; NOTIFY news, 'about ada@example.com'; SELECT 1; SET TimeZone = 'UTC'; UNLISTEN *;
    SET application_name = 'other'; DO $$ BEGIN RAISE NOTICE 'about %', 'bob@example.com'; END $$;`,
  'psql-copy': `\\copy customers TO STDOUT
    \\copy (SELECT 1) TO STDOUT
    \\copy orders TO STDOUT
    \\copy customers (id, name, note) TO STDOUT CSV HEADER
    \\copy (SELECT 1, 'write to dan@example.com') TO STDOUT
    COPY (SELECT 1) TO STDOUT\\; SELECT 2\\; COPY (SELECT 1/0) TO STDOUT;
    \\copy orders FROM STDIN
900\t1\t2.50\tt\t2026-01-01
901\t2\t\\N\tf\t2026-01-02
\\.
    \\copy orders (id, customer) FROM STDIN CSV
902,1
\\.
    \\copy orders (id) FROM STDIN
903\ttoo\tmany
\\.
`,
}

const SESSIONS: readonly Session[] = [
  ...Object.entries(PSQL).map(([name, script]) => ({
    name,
    talk: async (port: number, directory: string) => {
      const file = join(directory, `${name}.sql`)
      await writeFile(file, script)
      await promised('psql', ['-X', '-q', '-d', conninfo(port), '-f', file])
    },
  })),
  {
    name: 'pgbench-prepared',
    talk: async (port) => {
      const options = ['-n', '-M', 'prepared', '-t', '4', '--random-seed=1']
      await promised('pgbench', [...options, conninfo(port)])
    },
  },
  {
    name: 'pgbench-extended-select',
    talk: async (port) => {
      await promised('pgbench', ['-n', '-S', '-M', 'extended', '-t', '4', '--random-seed=1', conninfo(port)])
    },
  },
  { name: 'node-postgres', talk: talkNodePostgres },
  { name: 'pipeline', talk: talkPipeline },
  { name: 'copy-extended', talk: talkCopy },
]

const conninfo = (port: number): string =>
  `host=127.0.0.1 port=${port} user=visitor password=visitor dbname=postgres sslmode=disable gssencmode=disable`

async function talkNodePostgres(port: number): Promise<void> {
  const login = { host: '127.0.0.1', port, user: 'visitor', password: 'visitor', database: 'postgres' }
  for (const binary of [false, true]) {
    // `binary` is an option of pg that its types do not have: results in binary.
    const client = new Client(Object.assign({ ...login }, { binary }))
    await client.connect()
    const ask = (text: string, values?: readonly unknown[], name?: string): Promise<unknown> =>
      client.query({ text, values: values && [...values], name }).catch(() => undefined)
    await ask('SELECT id, email, phone, name, note FROM customers WHERE id = $1', [1])
    await ask('SELECT id, total, paid, at FROM orders WHERE customer = $1 ORDER BY id LIMIT $2', [1, 3], 'named')
    await ask('SELECT id, total, paid, at FROM orders WHERE customer = $1 ORDER BY id LIMIT $2', [2, 2], 'named')
    await ask('BEGIN')
    await ask('INSERT INTO customers VALUES ($1, $2, $3, $4, NULL)', [1, 'x', null, 'é'])
    await ask('SELECT 1', [])
    await ask('ROLLBACK')
    await ask('', [])
    await ask('SELECT $1::text', [Buffer.from([0, 255])])
    await ask('SELECT jsonb_build_object($1::text, 1), array[1, 2], now() IS NULL', ['a'])
    await client.end()
  }
}

async function talkPipeline(port: number): Promise<void> {
  const client = await rawConnect({ port, user: 'visitor', database: 'postgres', password: 'visitor' })
  const rows = 'SELECT id, email FROM customers ORDER BY id'
  const batches = [
    [runUnnamed(rows), runUnnamed('SELECT 1'), runUnnamed('SELECT 1/0'), runUnnamed('SELECT 2'), sync],
    [parse(rows, 's'), describeStatement('s'), sync],
    [bind({ statement: 's', portal: 'p' }), describePortal('p'), execute('p', 2), flush, execute('p'), sync],
    [query('BEGIN')],
    [bind({ statement: 's', portal: 'p' }), execute('p', 1), sync],
    [execute('p', 1), close('P', 'p'), close('S', 's'), close('S', 'none'), sync, sync],
    [parse('UPDATE orders SET paid = $1 WHERE id = $2', 'u'), sync],
    [bind({ statement: 'u', values: ['t', '1'] }), execute(), bind({ statement: 'u', values: ['x', null] }), sync],
    [query('ROLLBACK')],
    [parse(''), bind(), describePortal(), execute(), sync],
  ]
  for (const batch of batches) {
    client.send(...batch)
    await client.ready(batch.filter((one) => one === sync || one[0] === 0x51).length)
  }
  client.send(Buffer.from('5800000004', 'hex'))
  await client.closed()
}

/** COPY in the extended protocol: as libpq does it, which says Sync before it knows, and all in one piece. */
async function talkCopy(port: number): Promise<void> {
  const client = await rawConnect({ port, user: 'visitor', database: 'postgres', password: 'visitor' })
  const [into, out] = ['COPY orders (id, total) FROM STDIN', 'COPY (SELECT id, total FROM orders LIMIT 2) TO STDOUT']
  const row = (id: number): Buffer => frame('d', Buffer.from(`${id}\t1.50\n`))
  const [done, fail] = [frame('c'), frame('f', str('changed my mind'))]
  const start = [parse(into), bind(), describePortal(), execute()]
  for (const input of [
    [row(910), row(911), done],
    [row(912), fail],
  ]) {
    client.send(...start, sync)
    await client.until('G')
    client.send(...input, sync)
    await client.ready()
  }
  const batches = [
    [...start, row(913), flush, row(914), done, runUnnamed('SELECT 1'), sync],
    [parse(out, 'o'), bind({ statement: 'o' }), describePortal(), execute(), runUnnamed(out), sync],
    [query('BEGIN')],
    [query(`${into}; ${into}`), row(915), done, row(916), done],
    [row(917), done, query('ROLLBACK')],
  ]
  for (const batch of batches) {
    client.send(...batch)
    await client.ready(batch.filter((one) => one === sync || one[0] === 0x51).length)
  }
  client.send(Buffer.from('5800000004', 'hex'))
  await client.closed()
}

/** A proxy to `port` that gives every chunk to the takers made by `begin`, one for each connection. */
async function startProxy(port: number, begin: () => Take): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((client: Socket) => {
    const take = begin()
    const target = connect({ port, host: '127.0.0.1', noDelay: true })
    for (const [from, one, other] of [
      ['client', client, target],
      ['target', target, client],
    ] as const)
      one
        .on('data', (chunk: Buffer) => {
          take(from, chunk)
          other.write(chunk)
        })
        .on('end', () => other.end())
        .on('error', () => other.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

/** Cuts both directions into messages, in the order they came, from the first ReadyForQuery on. */
function newTape(): { readonly take: Take; readonly recorded: () => Recorded['frames'] } {
  const left = { client: Buffer.alloc(0), target: Buffer.alloc(0) }
  const frames: string[] = []
  let started = false
  const take: Take = (from, bytes) => {
    if (!started && from === 'client') return
    let rest = Buffer.concat([left[from], bytes])
    while (rest.length >= 5 && rest.length >= 1 + rest.readUInt32BE(1)) {
      const frame = rest.subarray(0, 1 + rest.readUInt32BE(1))
      rest = rest.subarray(frame.length)
      if (started) frames.push(`${from === 'client' ? '>' : '<'} ${withoutPid(frame).toString('hex')}`)
      started ||= frame[0] === 0x5a
    }
    left[from] = rest
  }
  return { take, recorded: () => frames }
}

/** A NotificationResponse names the process that notified. */
function withoutPid(frame: Buffer): Buffer {
  if (frame[0] !== 0x41) return frame
  const same = Buffer.from(frame)
  same.writeInt32BE(4711, 5)
  return same
}

async function catalogOf(postgres: TestPostgres): Promise<readonly CatalogRelation[]> {
  const rows = await postgres.query(`
    SELECT c.oid::int, c.relname, c.relkind, array_agg(a.attname::text ORDER BY a.attnum) AS names
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') GROUP BY 1, 2, 3 ORDER BY 1`)
  const oidOf = (name: string): number => rows.find(({ relname }) => relname === name)!.oid as number
  return rows.map(({ oid, relname, relkind, names }) => ({
    oid: oid as number,
    schema: 'public',
    name: String(relname),
    kind: relkind === 'v' ? 'view' : 'table',
    columns: (names as readonly string[]).map((name, place) => ({
      number: place + 1,
      name,
      classes: SENSITIVE.has(`${String(relname)}.${name}`) ? ['pii'] : [],
    })),
    reads: relname === 'open_orders' ? [oidOf('orders')] : [],
  }))
}

async function main(): Promise<void> {
  await using postgres = await startPostgres()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-capture-'))
  await mkdir(CORPUS, { recursive: true })
  await postgres.query(SHOP)
  const superuser = conninfo(postgres.port)
  await promised('pgbench', ['-i', '-q', '-s', '1', superuser])
  const catalog = await catalogOf(postgres)
  await write('catalog', catalog)
  for (const { name, talk } of SESSIONS) {
    const tapes: ReturnType<typeof newTape>[] = []
    const proxy = await startProxy(postgres.port, () => {
      tapes.push(newTape())
      return tapes.at(-1)!.take
    })
    await talk(proxy.port, directory)
    proxy.close()
    const recorded: Recorded = { name, frames: tapes.flatMap((tape) => tape.recorded()) }
    await write(name, recorded)
    process.stdout.write(`${name}: ${recorded.frames.length} messages\n`)
  }
  await rm(directory, { recursive: true })
}

async function write(name: string, value: unknown): Promise<void> {
  await writeFile(join(CORPUS, `${name}${PLACE}`), `${JSON.stringify(value, undefined, 1)}\n`)
}

await main()
