import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bind, describeStatement, execute, functionCall, parse, query, run, sync } from '../client-messages.ts'
import { frame, str, u16, u32, untyped, val } from '../frames-builder.ts'
import { brief, rawOpen, show } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertAlive, assertNothingSecret, attacks, intrude, startRange, take, type Attack } from './attack.ts'

/** OIDs of built-in functions (pg_proc.dat). */
const LO_OPEN = 952
const LO_READ = 954
const LO_WRITE = 955
const LO_CREAT = 957
const LO_UNLINK = 964
const LO_IMPORT = 764
const LO_EXPORT = 765
const LO_GET = 3458
const SET_CONFIG = 2078
const QUERY_TO_XML = 2925
const PG_READ_FILE = 2624
const [INV_READ, INV_WRITE] = [0x40000, 0x20000]

/** A large object that everybody may read at the target, with a hidden value in it. */
const HOARD = 7001

let scene: Scene
before(async () => {
  scene = await startRange()
  await scene.truth(`SELECT lo_from_bytea(${HOARD}, convert_to(string_agg(secret, ','), 'UTF8')) FROM people`)
  await scene.truth(`GRANT ALL ON LARGE OBJECT ${HOARD} TO PUBLIC`)
})
after(() => scene?.[Symbol.asyncDispose]())

const content = async (): Promise<unknown> => (await scene.truth(`SELECT lo_get(${HOARD}) AS c`))[0]?.['c']
const opened = [query('BEGIN'), functionCall(LO_OPEN, HOARD, INV_READ)]

const reading: readonly Attack[] = [
  ['by FunctionCall', [...opened, functionCall(LO_READ, 0, 100)]],
  [
    'by FunctionCall behind a lo_open of SQL',
    [query('BEGIN'), query(`SELECT lo_open(${HOARD}, 393216)`), functionCall(LO_READ, 0, 100)],
  ],
  ['by SQL behind a lo_open of a FunctionCall', [...opened, query('SELECT loread(0, 100)')]],
  ['in one SELECT', [query(`SELECT loread(lo_open(${HOARD}, 262144), 100)`)]],
  ['with lo_get', [query(`SELECT lo_get(${HOARD})`)]],
  ['with lo_get, a piece at a time', [query(`SELECT lo_get(${HOARD}, 0, 4)`)]],
  ['with lo_get by its schema', [query(`SELECT pg_catalog.lo_get(${HOARD})`)]],
  ['with lo_get in other letters', [query(`SELECT LO_GET(${HOARD}), "lo_get"(${HOARD})`)]],
  ['with lo_get as a table', [query(`SELECT * FROM lo_get(${HOARD})`)]],
  ['with lo_get as an attribute', [query('SELECT (o.oid).lo_get FROM (SELECT oid FROM pg_largeobject_metadata) o')]],
  ['with lo_get as an attribute of the row', [query('SELECT oid.lo_get FROM pg_largeobject_metadata oid')]],
  ['of each object there is', [query('SELECT lo_get(oid) FROM pg_largeobject_metadata')]],
  ['through its length', [query(`SELECT length(lo_get(${HOARD}))`)]],
  ['through its end', [...opened, query('SELECT lo_lseek(0, 0, 2)')]],
  ['through a comparison', [query(`SELECT 1 WHERE lo_get(${HOARD}) > '\\x7a'`)]],
  ['through an error', [query(`SELECT convert_from(lo_get(${HOARD}), 'UTF8')::int`)]],
  ['through a COPY', [query(`COPY (SELECT lo_get(${HOARD})) TO STDOUT`)]],
  ['through EXPLAIN', [query(`EXPLAIN ANALYZE VERBOSE SELECT lo_get(${HOARD})`)]],
  ['into a table', [query(`CREATE TABLE loot AS SELECT lo_get(${HOARD})`)]],
  ['into a view', [query(`CREATE VIEW loot AS SELECT lo_get(${HOARD})`)]],
  ['into a default', [query(`CREATE TABLE loot (a bytea DEFAULT lo_get(${HOARD}))`)]],
  ['into a notification', [query(`SELECT pg_notify('a', encode(lo_get(${HOARD}), 'hex'))`)]],
  ['into another object', [query(`SELECT lo_from_bytea(0, lo_get(${HOARD}))`)]],
  ['by EXECUTE', [query(`PREPARE p AS SELECT lo_get(${HOARD})`), query('EXECUTE p')]],
  ['by a cursor', [query('BEGIN'), query(`DECLARE c CURSOR FOR SELECT lo_get(${HOARD})`), query('FETCH c')]],
  [
    'with a parameter',
    [[parse('SELECT lo_get($1)'), describeStatement(), bind({ values: [String(HOARD)] }), execute(), sync]],
  ],
  ['from the system table', [query('SELECT data FROM pg_largeobject')]],
  ['into a file of the server', [query(`SELECT lo_export(${HOARD}, '/tmp/loot')`)]],
].map(([how, steps]) => ({
  title: `shows nothing that is hidden, read ${String(how)}`,
  steps: (steps as readonly (Buffer | readonly Buffer[])[]).map((step) => (Buffer.isBuffer(step) ? [step] : step)),
  code: '42501',
}))

const writing: readonly Attack[] = [
  {
    title: 'takes no hidden value by lo_from_bytea',
    steps: ['SELECT lo_from_bytea(0, secret::bytea) FROM people'],
    code: '42501',
  },
  {
    title: 'takes no hidden value by lo_put',
    steps: [`SELECT lo_put(${HOARD}, 0, p.secret::bytea) FROM people p`],
    code: '42501',
  },
  {
    title: 'takes no row by lo_put',
    steps: [`SELECT lo_put(${HOARD}, 0, p::text::bytea) FROM people p`],
    code: '42501',
  },
  { title: 'takes no file of the server', steps: ["SELECT lo_import('/etc/passwd')"], code: '42501' },
  {
    title: 'takes no file of the server under a chosen OID',
    steps: ["SELECT lo_import('/etc/passwd', 7002)"],
    code: '42501',
  },
]

const refused: readonly Attack[] = [
  ['set_config', functionCall(SET_CONFIG, Buffer.from('role'), Buffer.from('postgres'), Buffer.of(0))],
  [
    'query_to_xml',
    functionCall(QUERY_TO_XML, Buffer.from('TABLE people'), Buffer.of(0), Buffer.of(0), Buffer.alloc(0)),
  ],
  ['pg_read_file', functionCall(PG_READ_FILE, Buffer.from('/etc/passwd'))],
  ['lo_import', functionCall(LO_IMPORT, Buffer.from('/etc/passwd'))],
  ['lo_export', functionCall(LO_EXPORT, HOARD, Buffer.from('/tmp/loot'))],
  ['lo_get', functionCall(LO_GET, HOARD)],
  ['the function with OID 0', functionCall(0)],
  ['the function with the greatest OID', functionCall(0xffffffff)],
  ['too few arguments', functionCall(LO_UNLINK)],
  ['too many arguments', functionCall(LO_UNLINK, HOARD, HOARD)],
  ['an argument of 8 bytes for one of 4', functionCall(LO_UNLINK, Buffer.from('0000000000001b59', 'hex'))],
  ['an empty argument', functionCall(LO_UNLINK, Buffer.alloc(0))],
  ['NULL', functionCall(LO_UNLINK, null)],
  ['a negative OID in words', frame('F', u32(LO_UNLINK), u16(0), u16(1), val(String(HOARD - 2 ** 32)), u16(0))],
  ['an OID in words with more behind it', frame('F', u32(LO_UNLINK), u16(0), u16(1), val(`${HOARD} `), u16(0))],
  ['an argument of 17 MiB', functionCall(LO_WRITE, 0, Buffer.alloc(17 << 20))],
].map(([what, message]) => ({
  title: `is refused with ${String(what)}, and the session goes on`,
  steps: [[message as Buffer], 'BEGIN', [message as Buffer], 'SELECT 1'],
  code: 'SP007',
}))

describe('a large object', () => {
  attacks(() => scene, [...reading, ...writing], {})

  it('is what it was', async () => {
    assert.match(String(await content()), /zqvelvet/)
  })
})

describe('a FunctionCall', () => {
  attacks(() => scene, refused)

  it('in a transaction that has failed fails there, and makes nothing', async () => {
    await using client = await intrude(scene)
    await take(client, ['BEGIN', 'SELECT 1 / 0'])
    const before = await scene.truth('SELECT count(*) FROM pg_largeobject_metadata')
    assert.deepEqual(brief(await take(client, [[functionCall(LO_CREAT, -1)], 'COMMIT'])), [
      'E 25P02',
      'Z E',
      'C ROLLBACK',
      'Z I',
    ])
    assert.deepEqual(await scene.truth('SELECT count(*) FROM pg_largeobject_metadata'), before)
  })

  it('that is refused fails the transaction that it stands in', async () => {
    await using client = await intrude(scene)
    const steps = ["UPDATE visits SET kind = 'x' WHERE id = 1", [functionCall(SET_CONFIG)], 'COMMIT']
    assert.equal(brief(await take(client, ['BEGIN', ...steps])).at(-2), 'C ROLLBACK')
  })

  it('that is held in a transaction gets a ticket, which is good for no other arguments', async () => {
    await using client = await intrude(scene, ['asked'])
    const answers = brief(await take(client, ['BEGIN', [functionCall(LO_UNLINK, HOARD)], 'ROLLBACK']))
    assert.deepEqual(answers, ['C BEGIN', 'Z T', 'E SP001', 'Z E', 'C ROLLBACK', 'Z I'])
    const ids = async (): Promise<readonly string[]> => {
      const errors = show(await take(client, [[functionCall(LO_UNLINK, HOARD)], [functionCall(LO_UNLINK, HOARD + 1)]]))
      return errors.flatMap((line) => /apr_[\w-]+/.exec(line)?.[0] ?? [])
    }
    const [one, other] = await ids()
    assert.notEqual(one, other)
    assert.deepEqual(await ids(), [one, other])
  })

  const mixed: Readonly<Record<string, readonly Buffer[]>> = {
    'behind a Parse': [parse('SELECT 1')],
    'behind an Execute': [run('SELECT 1')],
    'behind a Bind that is kept back': [bind()],
  }
  for (const [where, messages] of Object.entries(mixed)) {
    it(`in a batch without a Sync, ${where}, ends the session before it is called`, async () => {
      await using client = await intrude(scene)
      client.send(...messages, functionCall(LO_UNLINK, HOARD), sync)
      assert.equal(brief(await client.closed()).at(-1), 'E SP007')
      assert.match(String(await content()), /zqvelvet/)
    })
  }

  it('behind a refusal in a batch is dropped up to its Sync', async () => {
    await using client = await intrude(scene)
    client.send(run('SELECT * FROM vault'), functionCall(LO_UNLINK, HOARD), sync)
    assert.deepEqual(brief(await client.ready()), ['E 42501', 'Z I'])
    assert.match(String(await content()), /zqvelvet/)
    await assertAlive(client)
  })

  const malformed: Readonly<Record<string, Buffer>> = {
    'that ends early': frame('F', u32(LO_UNLINK), u16(1), u16(1), u16(1)),
    'with something behind its end': frame('F', u32(LO_UNLINK), u16(0), u16(1), val('7001'), u16(0), str('x')),
    'with a format that there is not': frame('F', u32(LO_UNLINK), u16(1), u16(2), u16(1), val('7001'), u16(0)),
    'with a result in a format that there is not': frame('F', u32(LO_UNLINK), u16(0), u16(1), val('7001'), u16(9)),
    'with two formats for one argument': frame(
      'F',
      u32(LO_UNLINK),
      u16(2),
      u16(0),
      u16(0),
      u16(1),
      val('7001'),
      u16(0),
    ),
    'with more arguments than it has': frame('F', u32(LO_UNLINK), u16(0), u16(65_535), val('7001'), u16(0)),
    'with an argument of negative length': frame('F', u32(LO_UNLINK), u16(0), u16(1), u32(-2), u16(0)),
  }
  for (const [how, message] of Object.entries(malformed)) {
    it(`${how} ends the session`, async () => {
      await using client = await intrude(scene)
      client.send(message)
      assert.equal(brief(await client.closed()).at(-1), 'E SP007')
    })
  }

  it('before anybody has signed in ends the connection', async () => {
    const start = untyped(u32(3 << 16), str('user'), str('agent'), str('database'), str('orders'), Buffer.of(0))
    // Without a start it is read as one of an impossible length, to which the server says nothing either.
    for (const [messages, last] of [
      [[functionCall(LO_UNLINK, HOARD)], undefined],
      [[start, functionCall(LO_UNLINK, HOARD)], 'E SP007'],
    ] as const) {
      await using client = await rawOpen(scene.gateway.postgres.port)
      client.send(...messages)
      assert.equal(brief(await client.closed()).at(-1), last)
    }
    assert.match(String(await content()), /zqvelvet/)
  })

  it('writes for whoever may, though reading is refused', async () => {
    await using client = await intrude(scene)
    const answers = await take(client, [
      'BEGIN',
      [functionCall(LO_OPEN, HOARD, INV_WRITE)],
      [functionCall(LO_WRITE, 0, Buffer.from('!'))],
    ])
    assert.deepEqual(
      show(answers).filter((line) => line.startsWith('V ')),
      ['V 00000000', 'V 00000001'],
    )
    await take(client, ['ROLLBACK'])
    assertNothingSecret(client)
  })
})
