import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, afterEach, before, describe, it } from 'node:test'
import { renderer } from '../src/protocols/postgres/render.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { replay } from '../src/record/replay.ts'
import { replayText } from '../src/record/replay-text.ts'
import { bind, execute, flush, parse, query, run, sync, terminate } from './client-messages.ts'
import { data, done, LOAD, LOADERS, startCopyScene } from './copy-scene.ts'
import { frame, u16, u32 } from './frames-builder.ts'
import { approve } from './holding.ts'
import { brief, fields, rawConnect, type Message, type RawClient } from './raw-client.ts'
import type { Scene } from './scene.ts'
import { within } from './waiting.ts'

let scene: Scene
let password: string
before(async () => {
  scene = await startCopyScene()
  password = await scene.token({ groups: LOADERS })
})
afterEach(() => scene.truth('TRUNCATE loads'))
after(() => scene?.[Symbol.asyncDispose]())

const connect = (token = password): Promise<RawClient> =>
  rawConnect({ port: scene.gateway.postgres.port, password: token })

const loaded = async (): Promise<string> => {
  const rows = await scene.truth('SELECT id, word FROM loads ORDER BY id')
  return rows.map(({ id, word }) => `${String(id)} ${String(word)}`).join()
}

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

  const early: Readonly<Record<string, Buffer>> = {
    'what has to wait for a human': query('UPDATE orders SET total = 1 WHERE id = 1'),
    'a Bind': bind(),
  }
  for (const [name, message] of Object.entries(early)) {
    it(`and sends ${name} before it is asked for rows ends its session, and nothing is loaded`, async () => {
      await using client = await connect()
      client.send(query(LOAD), message, data('1\ta\n'), done, sync)
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

  it('and goes on for 300 MB after an error hears of it and can go on; the gateway keeps none of it', async () => {
    await using client = await connect()
    client.send(query(LOAD))
    await client.until('G')
    const piece = message('d', '1\tthe same row again\n'.repeat(40_000))
    const before = process.memoryUsage().rss
    client.send(data('x\ta\n'))
    for (let sent = 0; sent < 300e6; sent += piece.length)
      if (!client.socket.write(piece)) await once(client.socket, 'drain')
    client.send(done, query('SELECT 1'))
    assert.deepEqual(brief(await client.ready(2)), ['E 22P02', 'Z I', 'T ?column?', 'D 1', 'C SELECT 1', 'Z I'])
    assert.ok(process.memoryUsage().rss - before < 200e6)
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
