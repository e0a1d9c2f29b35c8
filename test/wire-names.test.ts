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
import { frame, str, u16, u32 } from './frames-builder.ts'
import { brief, rawConnect, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'

let scene: Scene
let password: string

before(async () => {
  scene = await startScene()
  password = await scene.token()
})
after(() => scene[Symbol.asyncDispose]())

const connect = (): Promise<RawClient> => rawConnect({ port: scene.gateway.postgres.port, password })

const EMAILS = 'SELECT email FROM customers ORDER BY id'
const IDS = 'SELECT id FROM orders WHERE id < 100 ORDER BY id'
/** Has to be approved, so it may be prepared. */
const UPDATE = "UPDATE customers SET name = 'Eve' WHERE id = 1"
const MASKED = ['D ***', 'D ***', 'D NULL', 'C SELECT 3']

/** Sends each step in one write and waits for its ReadyForQuery; the last answer. */
async function last(client: RawClient, ...steps: readonly (readonly Buffer[])[]): Promise<readonly string[]> {
  let answer: readonly string[] = []
  for (const step of steps) {
    const readies = step.filter(([letter]) => letter === 0x51 || letter === 0x53).length
    client.send(...step)
    answer = brief(await client.ready(readies))
  }
  return answer
}

/** The address never came, in no message; what had to be approved has not happened. */
async function assertSafe(client: RawClient): Promise<void> {
  const heard = Buffer.concat(client.messages.map(({ body }) => body)).toString('latin1')
  assert.doesNotMatch(heard, /ada@example\.com|grace@example\.com|4111/)
  assert.deepEqual(await scene.truth('SELECT name FROM customers WHERE id = 1'), [{ name: 'Ada' }])
}

describe('rows are masked by the columns of their own portal', () => {
  const both = [parse(IDS, 'ids'), parse(EMAILS, 'emails'), sync]

  it('whatever other statement is described between Bind and Execute', async () => {
    await using client = await connect()
    const answer = await last(client, both, [bind({ statement: 'emails' }), describeStatement('ids'), execute(), sync])
    assert.deepEqual(answer, ['2', 't', 'T id', ...MASKED, 'Z I'])
    await assertSafe(client)
  })

  it('whatever other portal is described between Bind and Execute', async () => {
    await using client = await connect()
    const binds = [bind({ statement: 'emails' }), bind({ statement: 'ids', portal: 'p' })]
    const answer = await last(client, both, [...binds, describePortal(), describePortal('p'), execute(), sync])
    assert.deepEqual(answer, ['2', '2', 'T email', 'T id', ...MASKED, 'Z I'])
    await assertSafe(client)
  })

  it('in the formats of Bind, when the statement was described in text', async () => {
    await using client = await connect()
    const card = 'SELECT 4111111111111111::bigint AS v'
    const sent = [parse(card, 's'), bind({ statement: 's', formats: [1] }), describeStatement('s'), execute(), sync]
    const answer = await last(client, sent)
    assert.equal(answer.at(-1), 'Z I')
    assert.ok(!Buffer.concat(client.messages.map(({ body }) => body)).includes(Buffer.from('000e9b08a568f1c7', 'hex')))
  })

  it('although the Describe of it was skipped, and a savepoint brought the portal back', async () => {
    await using client = await connect()
    const answer = await last(
      client,
      [query('BEGIN')],
      [parse(EMAILS), bind({ portal: 'p' }), sync],
      [query('SAVEPOINT a')],
      [run('SELECT id / 0 FROM orders'), describePortal('p'), sync],
      [query('ROLLBACK TO a')],
      [execute('p'), sync],
    )
    assert.deepEqual(answer, [...MASKED, 'Z T'])
    await assertSafe(client)
  })

  it('although the Describe of it was skipped in a batch of the same write', async () => {
    await using client = await connect()
    const bound = [parse(EMAILS), bind({ portal: 'p' }), sync, query('SAVEPOINT a')]
    const skipped = [run('SELECT id / 0 FROM orders'), describePortal('p'), sync, query('ROLLBACK TO a')]
    await last(client, [query('BEGIN')], [...bound, ...skipped, execute('p'), sync])
    await assertSafe(client)
  })

  it('when a Flush brings them before any Sync', async () => {
    await using client = await connect()
    client.send(run(EMAILS), flush)
    assert.deepEqual(brief(await client.until('C')), ['1', '2', ...MASKED])
  })
})

describe('a name stands for what the target has under it', () => {
  it('when Close and Parse were skipped after an error', async () => {
    await using client = await connect()
    const skipped = [parse('SELECT id FROM nowhere', 'x'), run('SELECT 1 / 0'), close('S', 's'), parse(IDS, 's'), sync]
    const answer = await last(client, [parse(EMAILS, 's'), sync], skipped, [bind({ statement: 's' }), execute(), sync])
    assert.deepEqual(answer, ['2', ...MASKED, 'Z I'])
    await assertSafe(client)
  })

  it('when a Parse under a taken name failed', async () => {
    await using client = await connect()
    const taken = [parse(UPDATE, 's'), sync, parse(IDS, 's'), sync]
    const answer = await last(client, [...taken, query('BEGIN'), bind({ statement: 's' }), execute(), sync])
    assert.deepEqual(answer.slice(-2), ['E SP001', 'Z E'])
    await assertSafe(client)
  })

  it('when SQL has replaced a statement of the wire', async () => {
    await using client = await connect()
    const replaced = [query('DEALLOCATE s'), parse(UPDATE, 's'), sync, query('BEGIN')]
    const answer = await last(client, [parse(IDS, 's'), sync, ...replaced], [bind({ statement: 's' }), execute(), sync])
    assert.deepEqual(answer, ['E SP001', 'Z E'])
    await assertSafe(client)
  })

  it('when an earlier batch, already sent, fails to define it', async () => {
    await using client = await connect()
    const defined = [parse(UPDATE, 's'), sync, query('BEGIN')]
    const batches = [run('SELECT id / 0 FROM orders'), close('S', 's'), parse(IDS, 's'), sync]
    const answer = await last(client, defined, [...batches, bind({ statement: 's' }), execute(), sync])
    assert.deepEqual(answer.slice(-3), ['Z E', 'E SP001', 'Z E'])
    await assertSafe(client)
  })

  it('when a batch uses it behind a message of its own that nobody has answered', async () => {
    await using client = await connect()
    const answer = await last(client, [
      parse(IDS, 's'),
      sync,
      parse('SELECT 2'),
      bind({ statement: 's' }),
      execute('', 1),
      sync,
    ])
    assert.deepEqual(answer, ['1', 'Z I', '1', '2', 'D 10', 's', 'Z I'])
  })

  it('when two names are the same in the 63 bytes that count', async () => {
    await using client = await connect()
    const [one, two] = ['a', 'b'].map((end) => 'x'.repeat(63) + end)
    const taken = [parse(IDS, one), sync, close('S', two), parse(UPDATE, two), sync, query('BEGIN')]
    const answer = await last(client, taken, [bind({ statement: one }), execute(), sync])
    assert.deepEqual(answer, ['E SP001', 'Z E'])
    await assertSafe(client)
  })

  it('when Bind names a statement that the gateway has never heard of', async () => {
    await using client = await connect()
    const answer = await last(
      client,
      [query('BEGIN'), parse(IDS), bind(), sync],
      [bind({ statement: 'zz' }), execute(), sync],
    )
    assert.deepEqual(answer, ['E 26000', 'Z E'])
  })

  it('when a portal was bound again in vain', async () => {
    await using client = await connect()
    const bound = [query('BEGIN'), parse(EMAILS, 'e'), parse(IDS, 'i'), bind({ statement: 'e', portal: 'p' }), sync]
    const again = [bind({ statement: 'i', portal: 'p' }), execute('p'), sync]
    assert.deepEqual(await last(client, bound, again), ['E 42P03', 'Z E'])
    await assertSafe(client)
  })

  it('when one text prepared the same name twice and failed between', async () => {
    await using client = await connect()
    const text = `PREPARE s AS ${EMAILS}; SELECT id / 0 FROM orders; DEALLOCATE s; PREPARE s AS ${IDS}`
    const answer = await last(client, [query(text)], [query('EXECUTE s')])
    assert.deepEqual(answer, ['T email', ...MASKED, 'Z I'])
    const operations = (await scene.records()).filter((entry) => entry.type === 'operation')
    const { text: recorded, touches } = operations.at(-1)!
    assert.equal(recorded, `EXECUTE s\n-- runs: statement 1 of: ${text}`)
    assert.deepEqual(touches, ['sql.select on Table orders/public.customers'])
  })

  it('when one text prepared several', async () => {
    await using client = await connect()
    const text = `PREPARE a AS ${EMAILS}; PREPARE b AS ${IDS}; DEALLOCATE a; PREPARE a AS SELECT 5 AS five`
    const answer = await last(client, [query(text)], [bind({ statement: 'a' }), execute(), sync])
    assert.deepEqual(answer, ['2', 'D 5', 'C SELECT 1', 'Z I'])
    assert.deepEqual((await last(client, [query('EXECUTE b')])).slice(0, 2), ['T id', 'D 10'])
  })

  it('when a cursor is run that was declared beside a statement since replaced', async () => {
    await using client = await connect()
    const text = `PREPARE s AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR ${IDS}`
    const replaced = [query('DEALLOCATE s'), parse(UPDATE, 's'), sync]
    await last(client, [query(text)], replaced, [execute('c', 9), sync])
    const answer = await last(client, [query('BEGIN')], [bind({ statement: 's' }), execute(), sync])
    assert.deepEqual(answer, ['E SP001', 'Z E'])
    await assertSafe(client)
  })

  it('when a cursor is run by the wire: its rows are masked', async () => {
    await using client = await connect()
    const answer = await last(client, [query(`BEGIN; DECLARE k CURSOR FOR ${EMAILS}`)], [execute('k'), sync])
    assert.deepEqual(answer, [...MASKED, 'Z T'])
  })

  it('when DISCARD ALL has forgotten everything', async () => {
    await using client = await connect()
    const answer = await last(client, [parse(IDS, 's'), sync], [query('DISCARD ALL')], [query('EXECUTE s')])
    assert.deepEqual(answer, ['E SP007', 'Z I'])
  })

  it('when SQL runs a statement of the wire that runs another', async () => {
    await using client = await connect()
    const nested = [parse(UPDATE, 't'), parse('EXECUTE t', 's'), sync]
    const answer = await last(client, nested, [query('EXECUTE s')])
    assert.deepEqual(answer, ['E SP007', 'Z I'])
    await assertSafe(client)
  })

  it('and EXECUTE or FETCH of what the gateway has not heard of is refused, not passed on undecided', async () => {
    await using client = await connect()
    for (const text of ['EXECUTE nobody', 'FETCH ALL FROM nobody', 'MOVE nobody']) {
      assert.deepEqual(await last(client, [query(text)]), ['E SP007', 'Z I'], text)
      assert.deepEqual(await last(client, [run(text), sync]), ['E SP007', 'Z I'], text)
    }
  })
})

describe('what the gateway does not take', () => {
  it('is a FunctionCall, whose refusal fails an open transaction too', async () => {
    await using client = await connect()
    const call = frame('F', u32(2078), u16(0), u16(0), u16(0))
    client.send(query('BEGIN'), call)
    assert.deepEqual(brief(await client.ready(2)), ['C BEGIN', 'Z T', 'E SP007', 'Z E'])
  })

  it('is a COPY that is refused: its stray data is ignored and the next Query is decided and masked', async () => {
    await using client = await connect()
    const data = [frame('d', Buffer.from('1\t1\t1\n')), frame('c'), frame('f', str('no'))]
    client.send(query('COPY orders FROM STDIN'), ...data, query(EMAILS))
    const answer = brief(await client.ready(2))
    assert.match(answer[0]!, /^E /)
    assert.deepEqual(answer.slice(1), ['Z I', 'T email', ...MASKED, 'Z I'])
  })

  it('is a Query inside a batch without a Sync: the session ends', async () => {
    await using client = await connect()
    client.send(run('SELECT 1'), query('SELECT 2'))
    assert.deepEqual(brief(await client.closed()).at(-1), 'E SP007')
  })
})

describe('an Execute of a portal that has begun', () => {
  it('is an operation of its own when the Execute before it may have been skipped', async () => {
    await using client = await connect()
    const text = `${IDS} -- once`
    await last(client, [query('BEGIN')], [parse(text, 's'), bind({ statement: 's', portal: 'p' }), sync])
    const failing = [describePortal('none'), execute('p'), sync, query('ROLLBACK TO a'), execute('p'), sync]
    const answer = await last(client, [query('SAVEPOINT a')], failing)
    assert.deepEqual(answer.slice(0, 4), ['E 34000', 'Z E', 'C ROLLBACK', 'Z T'])
    assert.ok(answer.some((line) => line.startsWith('C SELECT')))
    await client[Symbol.asyncDispose]()
    const records = await scene.records()
    const executed = records.filter((entry) => entry.type === 'operation' && entry.text === text)
    assert.deepEqual(
      executed.map((entry) => 'stage' in entry && entry.stage),
      ['prepare', 'execute', 'execute'],
    )
  })
})
