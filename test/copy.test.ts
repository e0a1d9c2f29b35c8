import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { after, afterEach, before, describe, it } from 'node:test'
import { replay } from '../src/record/replay.ts'
import { replayText } from '../src/record/replay-text.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { renderer } from '../src/protocols/postgres/render.ts'
import { bind, describePortal, execute, flush, parse, query, run, sync, terminate } from './client-messages.ts'
import { frame, str, u16, u32 } from './frames-builder.ts'
import { approve } from './holding.ts'
import { brief, fields, rawConnect, show, type Message, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

/** Writes in bulk to one table; the rest is that of every agent. */
const RULES = `
@id("loaders-load")
permit (principal in Group::"loaders", action in Action::"write", resource == Table::"orders/public.loads");
@id("held-load") @hold("group:dba") @wait("4s") @ticket("60s") @preview("rows")
permit (principal in Group::"held", action == Action::"sql.insert", resource == Table::"orders/public.loads");`

const TABLES = `
CREATE TABLE loads (id int PRIMARY KEY, word text);
ALTER TABLE loads OWNER TO orders_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON loads TO orders_writer;
CREATE ROLE direct LOGIN PASSWORD 'direct' IN ROLE orders_writer`

let scene: Scene
let password: string
/** The same shop with nothing sensitive in it, where texts of errors are as they are. */
let plain: Scene
let plainPassword: string
before(async () => {
  const rules = await readFile(new URL('scene.cedar', import.meta.url), 'utf8')
  const bulk = '{ context.unbounded && !(principal in Group::"loaders" || principal in Group::"held") }'
  const options = { policies: rules.replace('{ context.unbounded }', bulk), rules: RULES }
  ;[scene, plain] = await Promise.all([
    startScene(options),
    startScene({ ...options, target: { sensitive: {}, detect: [] } }),
  ])
  await Promise.all([scene, plain].map((each) => each.truth(TABLES)))
  const loader = { groups: ['data-agents', 'loaders'] }
  ;[password, plainPassword] = await Promise.all([scene.token(loader), plain.token(loader)])
})
afterEach(() => scene.truth('TRUNCATE loads'))
after(() => Promise.all([scene, plain].map((each) => each?.[Symbol.asyncDispose]())))

const connect = (token = password): Promise<RawClient> =>
  rawConnect({ port: scene.gateway.postgres.port, password: token })

const data = (text: string): Buffer => frame('d', Buffer.from(text))
const done = frame('c')
const fail = frame('f', str('enough'))
const loaded = async (): Promise<string> => {
  const rows = await scene.truth('SELECT id, word FROM loads ORDER BY id')
  return rows.map(({ id, word }) => `${String(id)} ${String(word)}`).join()
}

/** What is sent, a write each, and how many ReadyForQuery come before the next; or the type of message to wait for. */
type Step = readonly [readonly Buffer[], number | string]
const TABLE = 'COPY orders TO STDOUT'
const LOAD = 'COPY loads FROM STDIN'

/** Signature, flags, no extension; the rows (1, 'a') and (2, 'b'); the end. */
const BINARY = Buffer.concat([
  Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'),
  Buffer.alloc(8),
  ...[1, 2].map((id) => Buffer.from(`0002000000040000000${id}00000001${60 + id}`, 'hex')),
  Buffer.from('ffff', 'hex'),
])

const SCRIPTS: Readonly<Record<string, readonly Step[]>> = {
  'a table as text': [[[query(TABLE)], 1]],
  'a table as csv with a header': [[[query(`${TABLE} CSV HEADER`)], 1]],
  'columns of a table': [[[query('COPY customers (id, name, balance) TO STDOUT')], 1]],
  'a query with every option': [
    [[query(`COPY (SELECT id, NULL, 'a|b\\c' FROM orders) TO STDOUT (FORMAT csv, DELIMITER '|', QUOTE '~', FORCE_QUOTE *, NULL 'x')`)], 1],
  ],
  'a query without a table': [[[query('COPY (SELECT 1) TO STDOUT')], 1]],
  'nothing at all': [[[query('COPY (SELECT id FROM orders WHERE false) TO STDOUT')], 1]],
  'one among several statements': [[[query(`SELECT 1; ${TABLE}; COPY (VALUES (1)) TO STDOUT CSV; SELECT 2`)], 1]],
  'an error in the middle of its rows': [[[query('COPY (SELECT 1 / (11 - id) FROM orders ORDER BY id) TO STDOUT'), query('SELECT 1')], 2]],
  'the extended protocol, out': [[[parse(TABLE), bind(), describePortal(), execute(), sync], 1], [[run(TABLE), sync], 1]],
  'the extended protocol, out, and an error behind it': [[[run(TABLE), run('SELECT id / 0 FROM orders'), sync], 1]],
  'rows in': [[[query('BEGIN')], 1], [[query(LOAD)], 'G'], [[data('1\ta\n'), data('2\t\\N\n'), done], 1], [[query('ROLLBACK')], 1]],
  'rows in, cut anywhere': [[[query('BEGIN')], 1], [[query(LOAD)], 'G'], [[data('1\t'), data('a\n2'), data(''), data('\tb'), done], 1], [[query('SELECT * FROM loads'), query('ROLLBACK')], 2]],
  'csv in': [[[query('BEGIN')], 1], [[query(`${LOAD} CSV`)], 'G'], [[data('1,"a,\nb"\n'), done], 1], [[query('SELECT * FROM loads'), query('ROLLBACK')], 2]],
  'no rows at all': [[[query(LOAD)], 'G'], [[done], 1]],
  'CopyFail': [[[query(LOAD)], 'G'], [[data('1\ta\n'), fail, query('SELECT 1')], 2]],
  'a row that is none, and more behind it': [[[query(LOAD)], 'G'], [[data('x\ta\n')], 1], [[data('2\tb\n'), done, query('SELECT 1')], 1]],
  'a row that is none, all sent at once': [[[query(LOAD)], 'G'], [[data('x\ta\n'), data('2\tb\n'), done, query('SELECT 1')], 2]],
  'rows that nobody has asked for': [[[data('1\ta\n'), done, fail, query('SELECT 1')], 1]],
  'rows behind a statement that is no COPY': [[[query('SELECT 1'), data('1\ta\n'), done, query('SELECT 2')], 2]],
  'rows before they are asked for': [[[query('BEGIN')], 1], [[query(LOAD), data('1\ta\n'), done, query('SELECT * FROM loads')], 2], [[query('ROLLBACK')], 1]],
  'several in one text, each with its own rows': [
    [[query('BEGIN')], 1],
    [[query(`${LOAD}; SELECT 1; ${LOAD} CSV`)], 'G'],
    [[data('1\ta\n'), done], 'G'],
    [[data('2,b\n'), done], 1],
    [[query('SELECT * FROM loads'), query('ROLLBACK')], 2],
  ],
  'several in one text, all rows at once': [[[query('BEGIN')], 1], [[query(`${LOAD}; ${LOAD}`), data('1\ta\n'), done, data('2\tb\n'), done], 1], [[query('SELECT * FROM loads'), query('ROLLBACK')], 2]],
  'Sync and Flush between the rows': [[[query('BEGIN')], 1], [[query(LOAD)], 'G'], [[data('1\ta\n'), sync, flush, data('2\tb\n'), done], 1], [[query('ROLLBACK')], 1]],
  'the extended protocol, in, as libpq does it': [
    [[query('BEGIN')], 1],
    [[parse(LOAD), bind(), describePortal(), execute(), sync], 'G'],
    [[data('1\ta\n'), done, sync], 1],
    [[query('SELECT * FROM loads'), query('ROLLBACK')], 2],
  ],
  'the extended protocol, in, without a Sync before the rows': [
    [[query('BEGIN')], 1],
    [[run(LOAD), flush], 'G'],
    [[data('1\ta\n'), done, run('SELECT 7'), sync], 1],
    [[query('ROLLBACK')], 1],
  ],
  'the extended protocol, in, all at once': [[[query('BEGIN')], 1], [[run(LOAD), sync, data('1\ta\n'), done, sync], 1], [[query('ROLLBACK')], 1]],
  'the extended protocol, and CopyFail': [[[run(LOAD), sync], 'G'], [[fail, sync], 1], [[query('SELECT 1')], 1]],
  'the extended protocol, and a row that is none': [[[run(LOAD), sync], 'G'], [[data('x\ta\n')], 'E'], [[data('2\tb\n'), done, sync], 1], [[query('SELECT 1')], 1]],
  'binary in': [
    [[query('BEGIN')], 1],
    [[query(`${LOAD} BINARY`)], 'G'],
    [[frame('d', BINARY.subarray(0, 30)), frame('d', BINARY.subarray(30)), done], 1],
    [[query('SELECT * FROM loads'), query('ROLLBACK')], 2],
  ],
  'binary out': [[[query(`${TABLE} BINARY`)], 1]],
} // prettier-ignore

/** Every message; an error or a notice by its fields, whose order says nothing. */
function told(messages: readonly Message[]): readonly unknown[] {
  return messages.map(({ type, body }) =>
    type === 'E' || type === 'N'
      ? [type, Object.fromEntries([...fields(body)].toSorted(([one], [other]) => one.localeCompare(other)))]
      : [type, show([{ type, body }])[0], body.toString('latin1')],
  )
}

async function play(client: RawClient, steps: readonly Step[]): Promise<readonly unknown[]> {
  const heard: (readonly Message[])[] = []
  for (const [messages, wait] of steps) {
    client.send(...messages)
    heard.push(typeof wait === 'number' ? await client.ready(wait) : await client.until(wait))
  }
  return told(heard.flat())
}

describe('a COPY that is allowed goes through the gateway as it goes to PostgreSQL directly', () => {
  for (const [name, steps] of Object.entries(SCRIPTS)) {
    it(name, async () => {
      await using direct = await rawConnect({ port: plain.postgres.port, user: 'direct', password: 'direct' })
      await using through = await rawConnect({ port: plain.gateway.postgres.port, password: plainPassword })
      const expected = await play(direct, steps)
      assert.ok(expected.length > 0)
      assert.deepEqual(await play(through, steps), expected)
    })
  }
})

/** The content of every CopyData. */
const rows = (messages: readonly Message[]): string =>
  messages.flatMap(({ type, body }) => (type === 'd' ? [body.toString()] : [])).join('')

async function ask(client: RawClient, text: string): Promise<readonly Message[]> {
  client.send(query(text))
  return client.ready()
}

describe('COPY to the client', () => {
  it('shows no hidden column, and says which may be copied', async () => {
    await using client = await connect()
    const texts = [
      'COPY customers TO STDOUT',
      'COPY customers (id, email) TO STDOUT (FORMAT csv, HEADER)',
      'COPY (SELECT email FROM customers) TO STDOUT',
      'COPY contacts TO STDOUT',
      'COPY (SELECT * FROM contacts) TO STDOUT',
    ]
    for (const text of texts) assert.deepEqual(brief(await ask(client, text)), ['E 42501', 'Z I'], text)
    const refused = await ask(client, 'COPY customers TO STDOUT')
    const { remedy } = JSON.parse(fields(refused[0]!.body).get('D')!) as { remedy: readonly { hint: string }[] }
    const named = /COPY public\.customers \([^)]*\) TO STDOUT/.exec(remedy[0]!.hint)![0]
    assert.equal(
      rows(await ask(client, named)),
      '1\tAda\tcard *** on file\t10\n2\tGrace\tprefers e-mail\t20\n3\tNobody\t\\N\t30\n',
    )
  })

  it('hides what detectors find, in every way of writing it', async () => {
    await using client = await connect()
    const notes = '(SELECT id, notes FROM customers WHERE id = 1)'
    for (const [form, expected] of [
      ['', '1\tcard *** on file\n'],
      ['CSV', '1,"card *** on file"\n'],
      [`(FORMAT csv, QUOTE '-', FORCE_QUOTE *)`, '-1-,-card *** on file-\n'],
      [`(FORMAT csv, QUOTE '1', DELIMITER '-')`, '1111-1card *** on file1\n'],
      [`(DELIMITER '-')`, '1-card *** on file\n'],
      [`(DELIMITER ' ')`, '1 card\\ ***\\ on\\ file\n'],
    ] as const)
      assert.equal(rows(await ask(client, `COPY ${notes} TO STDOUT ${form}`)), expected, form)
  })

  it('is refused in binary where detectors are on, and says what to use', async () => {
    await using client = await connect()
    const refused = await ask(client, 'COPY orders TO STDOUT BINARY')
    assert.deepEqual(brief(refused), ['E 42501', 'Z I'])
    assert.equal(fields(refused[0]!.body).get('H'), 'Use FORMAT text or csv.')
    client.send(run('COPY orders TO STDOUT (FORMAT binary)'), sync)
    assert.deepEqual(brief(await client.ready()), ['E 42501', 'Z I'])
  })

  it('never touches files or programs of the server', async () => {
    await using client = await connect()
    for (const place of [`TO '/tmp/x'`, `FROM '/tmp/x'`, `TO PROGRAM 'x'`, `FROM PROGRAM 'x'`])
      assert.deepEqual(brief(await ask(client, `COPY loads ${place}`)), ['E 42501', 'Z I'])
  })

  it('knows a table by what it is now, not by what it was a moment ago', async () => {
    await using client = await connect()
    await scene.truth('CREATE TABLE pairs (id int, mail text); GRANT SELECT ON pairs TO orders_writer')
    await ask(client, 'COPY loads TO STDOUT')
    await scene.truth('ALTER TABLE pairs RENAME TO old_pairs; CREATE VIEW pairs AS SELECT id, email FROM customers')
    await scene.truth('GRANT SELECT ON pairs TO orders_writer')
    assert.deepEqual(brief(await ask(client, 'COPY (SELECT * FROM pairs) TO STDOUT')), ['E 42501', 'Z I'])
  })
})

async function* only(entries: readonly StoredEntry[]): AsyncGenerator<StoredEntry> {
  yield* entries
}

/** A message built in one piece: the builder of tests is not for megabytes. */
function message(letter: string, body: string): Buffer {
  const head = Buffer.from(`${letter}....`)
  head.writeUInt32BE(4 + Buffer.byteLength(body), 1)
  return Buffer.concat([head, Buffer.from(body)])
}

/** The entries of the operation that is this text. */
async function trail(text: string): Promise<readonly StoredEntry[]> {
  const records = await scene.records()
  const asked = records.findLast((entry) => entry.type === 'operation' && entry.text === text)
  assert.ok(asked?.type === 'operation')
  return records.filter((entry) => 'operation' in entry && entry.operation === asked.operation)
}

describe('the input of a COPY', () => {
  it('is recorded before it is sent, and can be replayed', async () => {
    await using client = await connect()
    const text = `${LOAD} -- recorded`
    client.send(query(text))
    await client.until('G')
    client.send(data('1\tone\n'))
    await within('the row is recorded', async () => (await trail(text)).some(({ type }) => type === 'input'))
    client.send(data('2\ttwo\n'), done)
    assert.deepEqual(brief(await client.ready()), ['C COPY 2', 'Z I'])
    assert.equal(await loaded(), '1 one,2 two')
    const entries = await trail(text)
    const [asked] = entries
    assert.ok(asked?.type === 'operation')
    assert.deepEqual(
      entries.map(({ type }) => type),
      ['operation', 'input', 'input', 'input', 'answer'],
    )
    const steps = await Array.fromAsync(replay(asked.session, only(entries), renderer()))
    const shown = steps.flatMap(replayText).join('\n')
    assert.match(shown, /op_\S+ was given input, 11 bytes\n {4}\| \{"copied":"1\\tone\\n"\}/)
    assert.match(shown, /\{"copy":"done"\}\n.*answered, 18 bytes, done, 2 rows/)
  })

  it('is kept whole up to a size, and beyond it as a digest', async () => {
    await using client = await connect()
    const text = `${LOAD} -- long`
    client.send(query(text))
    await client.until('G')
    const lines = Array.from({ length: 40_000 }, (_, id) => `${id}\tthe word number ${id}\n`)
    client.send(message('d', lines.slice(0, 1_000).join('')))
    for (let at = 1_000; at < lines.length; at += 1_000) client.send(message('d', lines.slice(at, at + 1_000).join('')))
    client.send(done)
    assert.deepEqual(brief(await client.ready()), ['C COPY 40000', 'Z I'])
    const inputs = (await trail(text)).filter((entry) => entry.type === 'input')
    const size = inputs.reduce((sum, entry) => sum + entry.size, 0)
    assert.equal(size, lines.join('').length + 40 * 5 + 5)
    assert.ok('bytes' in inputs[0]!)
    assert.match(inputs.at(-1)!.digest!, /^[0-9a-f]{64}$/)
    assert.ok(inputs.reduce((sum, { bytes = '' }) => sum + bytes.length, 0) <= 400_000)
    assert.deepEqual((await scene.truth('SELECT count(*)::int AS n, min(word) FROM loads'))[0], {
      n: 40_000,
      min: 'the word number 0',
    })
  })

  it('is not taken when the COPY is refused, and the session goes on', async () => {
    await using client = await connect(await scene.token())
    client.send(query(LOAD), data('1\ta\n'), done, query('SELECT 1'))
    assert.deepEqual(brief(await client.ready(2)), ['E 42501', 'Z I', 'T ?column?', 'D 1', 'C SELECT 1', 'Z I'])
    client.send(run(LOAD), sync, data('1\ta\n'), done, sync)
    assert.deepEqual(brief(await client.ready(2)), ['E 42501', 'Z I', 'Z I'])
    assert.equal(await loaded(), '')
  })

  it('waits while the COPY is held, and runs once it is approved', async () => {
    const dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'] })
    await using client = await connect(await scene.token({ groups: ['data-agents', 'held'] }))
    client.send(query(LOAD))
    const [notice] = (await client.until('N')).slice(-1)
    const refusal = JSON.parse(fields(notice!.body).get('D')!) as { approval: { id: string } }
    const card = await scene.api(dba, `/api/v1/approvals/${refusal.approval.id}`)
    assert.match(JSON.stringify(card.body), /gives no estimate for this kind of statement/)
    client.send(data('1\theld\n'), done)
    await approve(scene, refusal.approval.id, dba)
    assert.deepEqual(brief(await client.ready()), ['G', 'C COPY 1', 'Z I'])
    assert.equal(await loaded(), '1 held')
  })

  it('does not end a transaction that a refusal behind it leaves open', async () => {
    await using client = await connect()
    client.send(run(LOAD), sync)
    await client.until('G')
    client.send(data('1\ta\n'), done, flush)
    await client.until('C')
    client.send(run('DROP TABLE loads'), sync)
    assert.deepEqual(brief(await client.ready()), ['E 42501', 'Z I'])
    assert.equal(await loaded(), '')
  })
})

describe('a client that does not keep to the COPY it began', () => {
  const hostile: Readonly<Record<string, readonly Buffer[]>> = {
    'a Query': [query('SELECT 1')],
    'a Parse': [parse('SELECT 1')],
    'an Execute': [execute()],
    'a FunctionCall': [frame('F', u32(2078), u16(0), u16(0), u16(0))],
    'a CopyFail that does not end': [frame('f', Buffer.from('no'))],
  }
  for (const [name, messages] of Object.entries(hostile)) {
    it(`and sends ${name} ends its session, and nothing is loaded`, async () => {
      await using client = await connect()
      client.send(query(LOAD))
      await client.until('G')
      client.send(data('1\ta\n'), ...messages, done)
      assert.equal(brief(await client.closed()).at(-1), 'E SP007')
      assert.equal(await loaded(), '')
    })
  }

  it('and says Terminate, before it was asked for rows or after: nothing is loaded, and the session is over', async () => {
    for (const early of [true, false]) {
      await using client = await connect()
      client.send(query(LOAD), ...(early ? [terminate] : []))
      if (!early) {
        await client.until('G')
        client.send(data('1\ta\n'), terminate)
      }
      await client.closed()
      assert.equal(await loaded(), '')
    }
    await within('the roles are gone', async () => (await scene.roles()).length === 0, 5_000)
  })

  it('and vanishes: nothing is loaded, and its role is gone', async () => {
    const client = await connect()
    client.send(query(LOAD))
    await client.until('G')
    client.send(data('1\ta\n'))
    client.socket.destroy()
    await within('the roles are gone', async () => (await scene.roles()).length === 0, 5_000)
    assert.equal(await loaded(), '')
  })

  it('and goes on for 100 MB after an error hears of it and can go on; the gateway keeps none of it', async () => {
    await using client = await connect()
    client.send(query(LOAD))
    await client.until('G')
    const piece = message('d', '1\tthe same row again\n'.repeat(40_000))
    const before = process.memoryUsage().rss
    client.send(data('x\ta\n'))
    for (let sent = 0; sent < 100e6; sent += piece.length)
      if (!client.socket.write(piece)) await once(client.socket, 'drain')
    client.send(done, query('SELECT 1'))
    assert.deepEqual(brief(await client.ready(2)), ['E 22P02', 'Z I', 'T ?column?', 'D 1', 'C SELECT 1', 'Z I'])
    assert.ok(process.memoryUsage().rss - before < 100e6)
    assert.equal(await loaded(), '')
  })

  it('and whose target goes away in the middle is told so', async () => {
    await using client = await connect()
    client.send(query(LOAD))
    await client.until('G')
    client.send(data('1\ta\n'))
    await scene.truth(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'sp\\_%'`)
    client.send(data('2\tb\n'), done)
    assert.match(brief(await client.closed()).at(-1)!, /^E (SP004|57P01)/)
    assert.equal(await loaded(), '')
  })

  it('and whose grant ends in the middle: nothing is loaded', async () => {
    await using client = await connect(await scene.token({ groups: ['data-agents', 'loaders'], forMs: 3_000 }))
    client.send(query(LOAD))
    await client.until('G')
    client.send(data('1\ta\n'))
    assert.equal(brief(await client.closed()).at(-1), 'E 28000')
    await within('the roles are gone', async () => (await scene.roles()).length === 0, 5_000)
    assert.equal(await loaded(), '')
  })
})
