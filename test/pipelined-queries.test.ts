import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { query, run, sync } from './client-messages.ts'
import { join } from './frames-builder.ts'
import { rawConnect, show, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

/** As much as a test takes; where everything is tested it is 100 000, and the kernel cannot hold their answers. */
const MANY = process.env.CI ? 100_000 : 10_000
/** Both ways more than two sockets hold. */
const LONG = `select '${'x'.repeat(5_000)}'`
/** Messages in one step of a test that waits. */
const STEP = 1_000
/** How often one looks whether anything more is taken, in ms. */
const LOOK_MS = 100

const times = (count: number, bytes: Buffer): Buffer => Buffer.alloc(count * bytes.length, bytes)

/** All that the other side takes without being read: everything, or as much as both ends' buffers hold. */
async function pour(client: RawClient, bytes: Buffer): Promise<void> {
  const { socket } = client
  socket.pause().write(bytes)
  for (let taken = -1; socket.writableLength > 0 && taken !== socket.bytesWritten - socket.writableLength;) {
    taken = socket.bytesWritten - socket.writableLength
    await sleep(LOOK_MS)
  }
}

describe('a client that asks very often before it reads anything', () => {
  let scene: Scene
  const connect = async (): Promise<RawClient> =>
    rawConnect({ port: scene.gateway.postgres.port, password: await scene.token() })

  before(async () => {
    scene = await startScene()
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const answersTo = async (text: string, count: number): Promise<readonly string[]> => {
    await using client = await connect()
    await pour(client, times(count, query(text)))
    client.socket.resume()
    const seen = new Set<string>()
    for (let left = count; left > 0; left -= STEP) {
      const answers = show(await client.ready(STEP))
      assert.equal(answers.length, 4 * STEP)
      for (const answer of answers) seen.add(answer.slice(0, 12))
    }
    return [...seen]
  }

  it('has all answers to its simple queries once it reads', async () => {
    assert.deepEqual(await answersTo('select 1;', MANY), ['T ?column?', 'D 1', 'C SELECT 1', 'Z I'])
  })

  it('has them too where neither side could go on until it read', async () => {
    assert.deepEqual(await answersTo(LONG, MANY / 5), ['T ?column?', `D ${'x'.repeat(10)}`, 'C SELECT 1', 'Z I'])
  })

  it('has all answers to a batch of the extended protocol that has one Sync', async () => {
    await using client = await connect()
    await pour(client, join(times(MANY / 2, run('select 1')), sync))
    client.socket.resume()
    const seen = new Set<string>()
    for (let left = MANY / 2; left > 0; left--) for (const answer of show(await client.until('C'))) seen.add(answer)
    assert.deepEqual([...seen], ['1', '2', 'D 1', 'C SELECT 1'])
    assert.deepEqual(show(await client.ready()), ['Z I'])
  })

  it('leaves nothing behind when it goes without having read', async () => {
    const client = await connect()
    await pour(client, times(MANY / 5, query(LONG)))
    client.socket.destroy()
    await once(client.socket, 'close')
    await within('its role is gone', async () => (await scene.roles()).length === 0)
  })
})
