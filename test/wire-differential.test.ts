import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  bind,
  close,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  query,
  run,
  sync,
} from './client-messages.ts'
import { fields, rawConnect, show, type Message, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'

let scene: Scene
let password: string

before(async () => {
  scene = await startScene()
  password = await scene.token()
  await scene.truth(`CREATE ROLE direct LOGIN PASSWORD 'direct' IN ROLE orders_writer`)
})
after(() => scene[Symbol.asyncDispose]())

/** What is sent, a write each, and how many ReadyForQuery come before the next; or the type of message to wait for. */
type Step = readonly [readonly Buffer[], number | string]
type Script = { readonly name: string; readonly steps: readonly Step[] }

const script = (name: string, ...steps: readonly Step[]): Script => ({ name, steps })
const INSERT = 'INSERT INTO orders VALUES (900, 1, 5) RETURNING id, total'
const MANY = 'SELECT id, total FROM orders WHERE id < 100 ORDER BY id'

const SCRIPTS: readonly Script[] = [
  script('rows of a Query', [[query(MANY)], 1]),
  script('an empty Query', [[query('')], 1]),
  script('a Query of nothing but a comment', [[query('-- nothing')], 1]),
  script('several statements, some empty', [[query(`SELECT 1;; ${MANY}; SELECT 'x' AS y;`)], 1]),
  script('an error in the middle of several statements', [[query('SELECT 1; SELECT id / 0 FROM orders; SELECT 2')], 1]),
  script('a statement that fails at run time, and the next', [
    [query('SELECT id / 0 FROM orders'), query('SELECT 1')],
    2,
  ]),
  script('a relation that there is not', [[query('BEGIN'), query('ROLLBACK TO nowhere'), query('ROLLBACK')], 3]),
  script(
    'a failed transaction',
    [[query('BEGIN'), query('SELECT id / 0 FROM orders')], 2],
    [[query('SELECT 1'), query('COMMIT')], 2],
  ),
  script('warnings of transaction control', [[query('COMMIT'), query('BEGIN'), query('BEGIN'), query('ROLLBACK')], 4]),
  script('savepoints', [
    [query('BEGIN'), query('SAVEPOINT a'), query('SELECT id / 0 FROM orders'), query('ROLLBACK TO a'), query('COMMIT')],
    5,
  ]),
  script('a change rolled back', [[query(`BEGIN; ${INSERT}`), query('ROLLBACK')], 2]),
  script('a setting that is reported', [[query("SET application_name = 'x'"), query('SHOW application_name')], 2]),
  script('a setting changed back by a rollback', [
    [query("BEGIN; SET LOCAL datestyle = 'German'"), query("SELECT DATE '2026-01-02'"), query('ROLLBACK')],
    3,
  ]),
  script('the extended protocol', [[run(MANY), sync], 1]),
  script(
    'Describe of everything, before and after',
    [[parse(MANY, 's'), describeStatement('s'), bind({ statement: 's', portal: 'p' }), describePortal('p')], 0],
    [[execute('p'), describeStatement('s'), describePortal('p'), sync], 1],
  ),
  script(
    'parameters',
    [[parse('SELECT $1::int + 1, $2::text'), describeStatement(), bind({ values: ['41', null] })], 0],
    [[describePortal(), execute(), sync], 1],
  ),
  script('a parameter that does not fit', [[run('SELECT $1::int', ['x']), sync], 1], [[query('SELECT 1')], 1]),
  script('binary results', [[parse(MANY), bind({ formats: [1] }), describePortal(), execute(), sync], 1]),
  script('one format for each column', [[parse(MANY), bind({ formats: [1, 0] }), execute(), sync], 1]),
  script('binary results not described', [[parse(MANY), bind({ formats: [1] }), execute(), sync], 1]),
  script('too many result formats', [[parse(MANY), bind({ formats: [1, 0, 1] }), execute(), sync], 1]),
  script('a portal taken row by row', [
    [parse(MANY), bind({ portal: 'p' }), execute('p', 1), execute('p', 1), execute('p', 5), execute('p', 5), sync],
    1,
  ]),
  script(
    'a portal that goes on in later batches of a transaction',
    [[query('BEGIN')], 1],
    [[parse(MANY), bind({ portal: 'p' }), execute('p', 2), sync], 1],
    [[execute('p', 2), sync, execute('p', 2), sync], 2],
    [[close('P', 'p'), sync], 1],
    [[query('COMMIT')], 1],
  ),
  script('INSERT RETURNING row by row', [
    [query('BEGIN'), parse(INSERT), bind(), execute('', 1), sync, query('ROLLBACK')],
    3,
  ]),
  script(
    'named statements',
    [[parse(MANY, 'a'), parse('SELECT 2', 'b'), sync], 1],
    [[bind({ statement: 'b' }), execute(), bind({ statement: 'a' }), execute(), sync], 1],
  ),
  script(
    'a name that is taken',
    [[parse('SELECT 1', 'a'), sync, parse('SELECT 2', 'a'), sync], 2],
    [[bind({ statement: 'a' }), execute(), sync], 1],
  ),
  script('Close, and Close of what there is not', [
    [parse('SELECT 1', 'a'), close('S', 'a'), close('S', 'zz'), close('P', 'zz'), parse('SELECT 2', 'a'), sync],
    1,
  ]),
  script('Bind of a statement that there is not', [[bind({ statement: 'zz' }), sync], 1]),
  script('Describe of what there is not', [[describeStatement('zz'), sync, describePortal('zz'), sync], 2]),
  script(
    'the error comes, the rest is skipped',
    [[run('SELECT id / 0 FROM orders'), run('SELECT 1'), describeStatement('zz'), sync], 1],
    [[run('SELECT 2'), sync], 1],
  ),
  script(
    'the error comes before the rest is sent',
    [[run('SELECT id / 0 FROM orders'), flush], 'E'],
    [[run('SELECT 1'), parse('SELECT 3', 'never'), sync], 1],
    [[bind({ statement: 'never' }), sync], 1],
  ),
  script(
    'Flush after each',
    [[parse(MANY), flush], '1'],
    [[bind(), flush], '2'],
    [[describePortal(), flush], 'T'],
    [[execute(), flush], 'C'],
    [[sync], 1],
  ),
  script('an empty statement, prepared', [
    [parse(''), describeStatement(), bind(), describePortal(), execute(), sync],
    1,
  ]),
  script(
    'statements without rows',
    [[parse('BEGIN'), describeStatement(), bind(), describePortal(), execute(), sync], 1],
    [[run('ROLLBACK'), sync], 1],
  ),
  script('batches in one write', [
    [run('SELECT 1'), sync, run('SELECT id / 0 FROM orders'), sync, run('SELECT 3'), sync],
    3,
  ]),
  script('Sync and nothing else', [[sync, sync], 2]),
  script('PREPARE, EXECUTE, DEALLOCATE', [
    [query(`PREPARE s (int) AS SELECT $1 + 1`), query('EXECUTE s (41)'), query('DEALLOCATE s')],
    3,
  ]),
  script(
    'a statement of SQL, run by the wire',
    [[query(`PREPARE s AS ${MANY}`)], 1],
    [[describeStatement('s'), bind({ statement: 's' }), execute(), sync], 1],
  ),
  script('a statement of the wire, run by SQL', [[parse(MANY, 's'), sync, query('EXECUTE s')], 2]),
  script(
    'a cursor',
    [
      [
        query(`BEGIN; DECLARE c CURSOR FOR ${MANY}`),
        query('FETCH 2 FROM c'),
        query('FETCH ALL FROM c'),
        query('CLOSE c'),
      ],
      4,
    ],
    [[query('COMMIT')], 1],
  ),
  script(
    'a cursor run by the wire',
    [[query(`BEGIN; DECLARE c CURSOR FOR ${MANY}`)], 1],
    [[execute('c', 1), execute('c', 1), sync], 1],
    [[query('ROLLBACK')], 1],
  ),
  script('a cursor that outlives its transaction', [
    [query(`BEGIN; DECLARE c CURSOR WITH HOLD FOR ${MANY}; COMMIT`), query('FETCH 1 FROM c'), query('CLOSE c')],
    3,
  ]),
]

/** Every message; an error or a notice by its fields, whose order says nothing. */
function told(messages: readonly Message[]): readonly unknown[] {
  return messages.map(({ type, body }) =>
    type === 'E' || type === 'N'
      ? [type, Object.fromEntries([...fields(body)].toSorted(([one], [other]) => one.localeCompare(other)))]
      : [type, show([{ type, body }])[0], body.toString('hex')],
  )
}

async function play(client: RawClient, steps: readonly Step[]): Promise<readonly unknown[]> {
  const heard: (readonly Message[])[] = []
  for (const [messages, wait] of steps) {
    client.send(...messages)
    if (wait === 0) continue
    heard.push(typeof wait === 'number' ? await client.ready(wait) : await client.until(wait))
  }
  return told(heard.flat())
}

describe('for what is allowed, a client hears through the gateway what PostgreSQL says to it directly', () => {
  for (const { name, steps } of SCRIPTS) {
    it(name, async () => {
      await using direct = await rawConnect({ port: scene.postgres.port, user: 'direct', password: 'direct' })
      await using through = await rawConnect({ port: scene.gateway.postgres.port, password })
      const expected = await play(direct, steps)
      assert.ok(expected.length > 0)
      assert.deepEqual(await play(through, steps), expected)
    })
  }
})
