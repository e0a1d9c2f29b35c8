import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { OperationDecided } from '../../src/record/entry.ts'
import { startScene, type Scene } from './scene.ts'

const HELD = 'UPDATE orders SET total = 1 WHERE id = 10'
const UNSENT = 'INSERT INTO orders VALUES (40, 1, 1)'
const UNANSWERED = 'INSERT INTO orders VALUES (41, 1, 1)'
const LONG = `SELECT repeat('y', 1000) FROM generate_series(1, 20000)`

describe('kill -9, with sessions at every step, and a start after it', () => {
  let scene: Scene
  /** Roles that were there when it was killed. */
  let left: readonly string[]
  /** Bytes of the long answer that the client had. */
  let heard = 0

  before(async () => {
    scene = await startScene()
    const ask = async (text: string): Promise<void> => {
      const client = await scene.connect()
      client.query(text).catch(() => undefined)
    }
    const holder = await scene.connect()
    const held = new Promise((resolve) => holder.once('notice', resolve))
    holder.query(HELD).catch(() => undefined)
    await held
    const unsent = scene.sessions.meet('asked', UNSENT, 'hold')
    const unanswered = scene.sessions.meet('answered', 'INSERT 0 1', 'hold')
    const long = scene.sessions.meet('answered', 'SELECT 20000', 'hold')
    await ask(UNSENT)
    await ask(UNANSWERED)
    const reader = await scene.connect()
    const stream = (reader as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection.stream
    stream.on('data', (bytes: Buffer) => (heard += bytes.length))
    reader.query(LONG).catch(() => undefined)
    await Promise.all([unsent, unanswered, long])
    const leaving = await scene.connect()
    const revoking = scene.own.meet('asked', 'DROP ROLE', 'hold')
    await leaving.end()
    await revoking
    const making = scene.own.meet('answered', 'CREATE ROLE', 'hold')
    scene.connect().catch(() => undefined)
    await making
    left = await scene.shop.roles()
    scene.gateway.kill('SIGKILL')
    await scene.again()
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const decisions = async (text: string): Promise<readonly OperationDecided['decision'][]> =>
    (await scene.records()).flatMap((each) => (each.type === 'operation' && each.text === text ? [each.decision] : []))
  const ran = (text: string): number => scene.ran().filter((run) => run.text === text).length
  const total = async (id: number): Promise<unknown> =>
    (await scene.shop.truth(`SELECT total::float FROM orders WHERE id = ${id}`))[0]?.['total']

  it('takes every role away before anybody comes in, one just made and one half revoked among them', async () => {
    assert.equal(left.length, 6)
    assert.deepEqual(await scene.shop.roles(), [])
    const swept = (await scene.records()).flatMap((each) =>
      each.type === 'lease.revoked' && each.reason === 'orphan' && each.verified ? [each.lease] : [],
    )
    assert.deepEqual(swept.toSorted(), left.toSorted())
  })

  it('has not run what was held', async () => {
    assert.deepEqual([await decisions(HELD), ran(HELD), await total(10)], [['hold'], 0, 99.5])
  })

  it('has recorded what had not reached the target yet, which did not run', async () => {
    assert.deepEqual([await decisions(UNSENT), ran(UNSENT), await total(40)], [['allow'], 0, undefined])
  })

  it('has recorded what took effect and was not answered', async () => {
    assert.deepEqual([await decisions(UNANSWERED), ran(UNANSWERED), await total(41)], [['allow'], 1, 1])
  })

  it('has in the log what the client had of an answer', async () => {
    const size = (await scene.records()).reduce((sum, each) => sum + (each.type === 'answer' ? each.size : 0), 0)
    assert.ok(heard > 1_000_000 && heard <= size + 1_000, `${heard} bytes heard, ${size} recorded`)
  })

  it('has a log that verifies with all that ran in it, and works', async () => {
    const client = await scene.connect()
    assert.equal((await client.query('SELECT * FROM orders')).rowCount, 4)
    await scene.settled()
  })
})
