import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import { memoryOf, startScene, told, vanish, type Scene, within } from './scene.ts'

const GONE = { severity: 'FATAL', code: 'SP004', refusal: 'unavailable' }
const SECRET = 'ada@example.com'

describe('a target that fails', () => {
  let scene: Scene
  before(async () => (scene = await startScene()))
  after(() => scene?.[Symbol.asyncDispose]())
  afterEach(async () => {
    await Promise.all([scene.own.up(), scene.sessions.up()])
    await scene.settled()
  })

  const works = async (): Promise<void> => {
    const client = await scene.connect()
    assert.equal((await client.query('SELECT * FROM orders')).rowCount, 3)
    await client.end()
  }
  const reasons = async (): Promise<readonly string[]> =>
    (await scene.records()).flatMap((each) => (each.type === 'session.closed' ? [each.reason] : []))
  const inAnswerOf = async (text: string): Promise<Omit<Awaited<ReturnType<typeof told>>, 'message'>> => {
    const client = await scene.connect()
    const { message: _message, ...rest } = await told(client.query(text))
    return rest
  }

  it('is down: nobody comes in, and it is recorded why; is back: the next connection works', async () => {
    await scene.own.down()
    await scene.sessions.down()
    const { message, ...rest } = await told(scene.connect())
    assert.deepEqual(rest, GONE)
    assert.match(message, /^No credential could be made at target orders: .*could not be read\.$/)
    assert.match(scene.gateway.said().stderr, /warning: target orders: no credential could be made: .*ECONNREFUSED/)
    assert.ok(
      (await scene.records()).some((each) => each.type === 'session.refused' && each.refusal.code === 'unavailable'),
    )
    await scene.own.up()
    await scene.sessions.up()
    await works()
  })

  it('takes no connection of the session: its role is revoked again', async () => {
    await scene.sessions.down()
    const { message, ...rest } = await told(scene.connect())
    assert.deepEqual(rest, GONE)
    assert.match(message, /^Target orders cannot be reached: no connection to the target: .*ECONNREFUSED/)
    await within('the role is gone', async () => (await scene.shop.roles()).length === 0)
    await scene.sessions.up()
    await works()
  })

  it('goes down with sessions open, its own login too: they end, and their roles go when it is back', async () => {
    const client = await scene.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO orders VALUES (20, 1, 1)')
    const waiting = told(client.query('SELECT pg_sleep(60)'))
    const [role] = await scene.shop.roles()
    await within('it runs', async () => scene.ran().at(-1)?.text === 'SELECT pg_sleep(60)')
    await scene.own.down()
    await scene.sessions.down()
    const { message, ...rest } = await waiting
    assert.deepEqual([rest, message], [GONE, 'The target closed the connection.'])
    await within(
      'it is said',
      async () => scene.gateway.said().stderr.includes(`${role} could not be revoked yet`),
      8_000,
    )
    await scene.own.up()
    await scene.sessions.up()
    await works()
    await scene.settled()
    assert.deepEqual(await scene.shop.truth('SELECT FROM orders WHERE id = 20'), [])
    const verified = (await scene.records()).filter((each) => each.type === 'lease.revoked' && each.lease === role)
    assert.deepEqual(
      verified.map((each) => 'verified' in each && each.verified),
      [false, true],
    )
  })

  it('resets the connection, or closes it, in the middle of an answer: the session ends, others go on', async () => {
    const other = await scene.connect()
    for (const trouble of ['reset', 'end'] as const) {
      const marker = `'half-${trouble}'`
      const met = scene.sessions.meet('answered', `half-${trouble}`, trouble)
      const rest = await inAnswerOf(`SELECT ${marker} AS a, repeat('x', 100)`)
      await met
      assert.deepEqual(rest, GONE)
      assert.equal((await other.query('SELECT 1')).rowCount, 1)
    }
    await other.end()
    await works()
  })

  const GARBAGE: Readonly<Record<string, Buffer>> = {
    zeroes: Buffer.alloc(4_096),
    noise: Buffer.from('\x9f\x03\xe8nothing a database would say\xff'.repeat(40), 'latin1'),
    'a web page': Buffer.from('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'),
    'a message of 2 GiB': Buffer.from('447fffffff', 'hex'),
    'an answer to another question': Buffer.from('Z\0\0\0\x05I1\0\0\0\x04', 'latin1'),
    'an address in clear, in a message of no known kind': Buffer.concat([
      Buffer.from('?\0\0\0\x14'),
      Buffer.from(SECRET),
    ]),
  }
  it('sends garbage: the session ends, nothing of it reaches the client, others go on', async () => {
    const other = await scene.connect()
    for (const [name, garbage] of Object.entries(GARBAGE)) {
      const met = scene.sessions.meet('answered', 'asked for', garbage)
      const client = await scene.connect()
      const heard: Buffer[] = []
      streamOf(client).on('data', (bytes: Buffer) => heard.push(bytes))
      const { message, ...rest } = await told(client.query(`SELECT 'asked for'`))
      await met
      assert.deepEqual(rest, GONE, name)
      assert.match(message, /^The (connection|session) cannot go on: /, name)
      assert.ok(!Buffer.concat(heard).includes(SECRET), name)
      assert.equal((await other.query('SELECT 1')).rowCount, 1, name)
    }
    await other.end()
    await works()
  })

  it('stops in the middle of an answer: only that session waits, and goes on when it does', async () => {
    const client = await scene.connect()
    const met = scene.sessions.meet('answered', 'slow', 'hold')
    const answer = client.query(`SELECT 'slow' AS a`)
    await met
    await works()
    assert.equal(await Promise.race([answer.then(() => 'answered'), pause(100, 'waiting')]), 'waiting')
    scene.sessions.release()
    assert.deepEqual((await answer).rows, [{ a: 'slow' }])
    await client.end()
  })

  it('answers without end to a client that has stopped reading: memory stays bounded', async () => {
    const client = await scene.connect()
    const before = await memoryOf(scene.gateway.pid)
    streamOf(client).pause()
    void client.query(`SELECT repeat('x', 1000) FROM generate_series(1, 300000)`).catch(() => undefined)
    await pause(1_500)
    const grown = (await memoryOf(scene.gateway.pid)) - before
    assert.ok(grown < 150 << 20, `${grown} bytes more for a client that does not read 300 MB`)
    vanish(client)
    await scene.settled()
    await works()
  })

  it('is left by a client in the middle of a statement: it is cancelled there, and the role goes', async () => {
    const client = await scene.connect()
    const answer = client.query('SELECT pg_sleep(61)')
    answer.catch(() => undefined)
    await within('it runs', async () => (await running()).length === 1)
    vanish(client)
    await within('it is cancelled', async () => (await running()).length === 0)
    await within('the role is gone', async () => (await scene.shop.roles()).length === 0)
    await within('it is recorded', async () => (await reasons()).at(-1) === 'The client went away.')
    await works()
  })

  const running = (): ReturnType<Scene['shop']['truth']> =>
    scene.shop.truth(`SELECT FROM pg_stat_activity WHERE usename LIKE 'sp\\_%' AND state = 'active'`)
})

type Stream = { on(event: 'data', listener: (bytes: Buffer) => void): void; pause(): void }

function streamOf(client: Client): Stream {
  return (client as unknown as { connection: { stream: Stream } }).connection.stream
}

function pause<T>(ms: number, value?: T): Promise<T | undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(value), ms))
}
