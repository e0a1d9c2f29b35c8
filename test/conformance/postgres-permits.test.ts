import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { Frame } from '../../src/protocols/postgres/frames.ts'
import type { SqlReader } from '../../src/sql/reader.ts'
import { bind, describePortal, execute, parse, query, run, sync, terminate } from '../client-messages.ts'
import { brief } from '../raw-client.ts'
import { within } from '../waiting.ts'
import { honestTarget, isOwn } from './honest-target.ts'
import { allowed, startFakeScene, startReader, type FakeScene } from './postgres-scene.ts'

let reader: SqlReader
before(() => {
  reader = startReader()
})
after(() => reader[Symbol.asyncDispose]())

const DELETE = 'DELETE FROM customers WHERE id = 1'
const SELECT = 'SELECT email, name FROM customers'

/** Everything the target received behind the gateway's own question at the start, in words. */
function received({ fake }: FakeScene): readonly string[] {
  const words = fake.received.map(inWords)
  const start = words.findIndex((word) => word.startsWith('P') && isOwn(word))
  assert.deepEqual(
    words.slice(start + 1, start + 6).map(([letter]) => letter),
    ['B', 'E', 'C', 'C', 'S'],
  )
  return words.slice(start + 6)
}

function inWords({ type, bytes }: Frame): string {
  const text = bytes.toString('utf8', 5).replaceAll('\0', ' ').trim()
  return `${String.fromCharCode(type)}${'QP'.includes(String.fromCharCode(type)) ? ` ${text}` : ''}`
}

describe('nothing reaches the target without a permit', () => {
  it('sends what was allowed, byte for byte, and of what was denied nothing', async () => {
    await using scene = await startFakeScene(reader, { answer: honestTarget() })
    await using client = await scene.connect()
    const batches = [
      [query(SELECT)],
      [query(DELETE)],
      [run(SELECT), sync],
      [run(DELETE), sync],
      [query(`${SELECT}; ${DELETE}`)],
    ]
    for (const batch of batches) {
      client.send(...batch)
      await client.ready()
    }
    assert.deepEqual(received(scene), [`Q ${SELECT}`, `P ${SELECT}`, 'B', 'D', 'E', 'S', 'S'])
    assert.deepEqual(allowed(scene.entries), [SELECT, SELECT, SELECT])
    assert.ok(scene.fake.received.some(({ bytes }) => bytes.equals(query(SELECT))))
  })

  it('sends of a pipeline that is refused only the Parse that fails there too', async () => {
    await using scene = await startFakeScene(reader, { answer: honestTarget() })
    await using client = await scene.connect()
    client.send(run(SELECT), run(DELETE), run('SELECT 2'), sync)
    assert.deepEqual(brief(await client.ready()).slice(-2), ['E 42501', 'Z I'])
    const poison = 'P sallyport_refused sallyport refused this operation'
    assert.deepEqual(received(scene), [`P ${SELECT}`, 'B', 'D', 'E', poison, 'S'])
  })

  it('keeps Bind and Describe back until their Execute is decided', async () => {
    await using scene = await startFakeScene(reader, { answer: honestTarget() })
    await using client = await scene.connect()
    client.send(parse(SELECT), bind(), describePortal())
    await within('its Parse is sent', async () => received(scene).length > 0)
    await setTimeout(50)
    assert.deepEqual(received(scene), [`P ${SELECT}`])
    client.send(execute(), sync)
    await client.ready()
    assert.deepEqual(received(scene), [`P ${SELECT}`, 'B', 'D', 'E', 'S'])
  })

  it('sends what was asked before Terminate, and records its answer', async () => {
    await using scene = await startFakeScene(reader, { answer: honestTarget() })
    await using client = await scene.connect()
    client.send(query(SELECT), run(SELECT), sync, terminate)
    const answers = brief(await client.closed())
    assert.deepEqual(answers.slice(-2), ['C SELECT 1', 'Z I'])
    await scene.quiet()
    const types = scene.entries.map(({ type }) => type)
    assert.deepEqual(types.slice(-2), ['lease.revoked', 'session.closed'])
    assert.equal(types.filter((type) => type === 'answer').length, 2)
  })
})
