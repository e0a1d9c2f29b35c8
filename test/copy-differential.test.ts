import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bind, describePortal, execute, flush, parse, query, run, sync } from './client-messages.ts'
import { data, done, LOAD, LOADERS, startCopyScene } from './copy-scene.ts'
import { frame, str } from './frames-builder.ts'
import { fields, rawConnect, show, type Message, type RawClient } from './raw-client.ts'
import type { Scene } from './scene.ts'

/** Nothing in it is sensitive: texts of errors are as they are. */
let scene: Scene
let password: string
before(async () => {
  scene = await startCopyScene({ sensitive: {}, detect: [] })
  password = await scene.token({ groups: LOADERS })
})
after(() => scene?.[Symbol.asyncDispose]())

const fail = frame('f', str('enough'))

/** What is sent, a write each, and how many ReadyForQuery come before the next; or the type of message to wait for. */
type Step = readonly [readonly Buffer[], number | string]
const TABLE = 'COPY orders TO STDOUT'

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
      await using direct = await rawConnect({ port: scene.postgres.port, user: 'direct', password: 'direct' })
      await using through = await rawConnect({ port: scene.gateway.postgres.port, password: password })
      const expected = await play(direct, steps)
      assert.ok(expected.length > 0)
      assert.deepEqual(await play(through, steps), expected)
    })
  }
})
