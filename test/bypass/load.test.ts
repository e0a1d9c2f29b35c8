import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { frame } from '../frames-builder.ts'
import { bind, execute, flush, parse, query, sync } from '../client-messages.ts'
import type { RawClient } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertAlive, assertNothingSecret, codes, fingerprint, intrude, startRange, take } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

const around = (open: string, depth: number, middle: string, shut: string): string =>
  open.repeat(depth) + middle + shut.repeat(depth)

/** A Query built in one piece: the builder of tests is not for megabytes. */
function longQuery(text: string): Buffer {
  const head = Buffer.from('Q....')
  head.writeUInt32BE(5 + Buffer.byteLength(text), 1)
  return Buffer.concat([head, Buffer.from(`${text}\0`)])
}

describe('a text too much for the reader is refused or answered, and a second session goes on', () => {
  const texts: Readonly<Record<string, string>> = {
    'parentheses 5,000 deep': `SELECT ${around('(', 5_000, '1', ')')}`,
    'sub-selects 500 deep': `SELECT ${around('(SELECT ', 500, '1', ')')}`,
    'a sum of 10,001': `SELECT 1${'+1'.repeat(10_000)}`,
    'NOT 100,000 times': `SELECT ${'NOT '.repeat(100_000)} true`,
    'comments in comments': `${around('/*', 5_000, '', '*/')} SELECT 1`,
    '5,000 statements': 'SELECT 1;'.repeat(5_000),
    'a list of 100,000': `SELECT 1 WHERE 1 IN (1${',1'.repeat(100_000)})`,
    '200 relations': `SELECT 1 FROM decoy d0${Array.from({ length: 200 }, (_, i) => `, decoy d${i + 1}`).join('')}`,
    'a chain of 100 joins': `DELETE FROM decoy USING ${Array.from({ length: 100 }, (_, i) => `decoy l${i}`).join()} WHERE ${Array.from({ length: 99 }, (_, i) => `l${i}.id = l${i + 1}.id`).join(' AND ')} AND false`,
    'a DROP padded to 9 MiB': `DROP TABLE vault -- ${'x'.repeat(9 << 20)}`,
  } // prettier-ignore
  for (const [title, text] of Object.entries(texts)) {
    it(title, async () => {
      const before = await fingerprint(scene)
      await using client = await intrude(scene)
      await using other = await intrude(scene)
      const asked = client.messages.length
      client.send(longQuery(text))
      await assertAlive(other)
      await ended(client, asked)
      await assertAlive(other)
      assertNothingSecret(client)
      assert.equal(await fingerprint(scene), before)
    })
  }
})

/** It is answered, or the session is over: waits no longer than that takes. */
async function ended({ messages, socket }: RawClient, asked: number): Promise<void> {
  while (!messages.slice(asked).some(({ type }) => type === 'Z') && !socket.closed)
    await new Promise((wake) => setTimeout(wake, 50))
}

describe('messages too much for a session end that session only', () => {
  const many = (count: number, message: Buffer): readonly Buffer[] => [Buffer.concat(Array(count).fill(message))]
  const rows: Readonly<Record<string, readonly Buffer[]>> = {
    'a length of 2 GiB': [Buffer.from('Q\x7f\xff\xff\xff', 'latin1')],
    'a length below itself': [Buffer.from('Q\0\0\0\x01')],
    'a type nobody knows': [frame('?', Buffer.from('x'))],
    'two texts in one Query': [frame('Q', Buffer.from('SELECT 1\0DROP TABLE vault\0'))],
    'a text that is not UTF-8': [frame('Q', Buffer.from("SELECT '\xe3\x83' FROM vault --\0", 'latin1'))],
    'more parameters than there are': [frame('B', Buffer.from('\0\0\0\0\xff\xff', 'latin1'))],
    'a Query in a batch': [parse('SELECT 1'), query('DROP TABLE vault'), sync],
  }
  for (const [title, messages] of Object.entries(rows)) {
    it(title, async () => {
      const before = await fingerprint(scene)
      await using client = await intrude(scene)
      await using other = await intrude(scene)
      client.send(...messages)
      client.socket.end()
      await client.closed()
      assertNothingSecret(client)
      await assertAlive(other)
      assert.equal(await fingerprint(scene), before)
    })
  }

  it('1,000 of a batch are all answered', async () => {
    await using client = await intrude(scene)
    client.send(parse('SELECT 1', 's'), ...many(1_000, Buffer.concat([bind({ statement: 's' }), execute()])), sync)
    const answers = await client.ready()
    assert.deepEqual(codes(answers), [])
    assert.equal(answers.filter(({ type }) => type === 'C').length, 1_000)
  })

  it('2,000 Flushes and Syncs are all answered', async () => {
    await using client = await intrude(scene)
    await take(client, [many(2_000, Buffer.concat([flush, sync]))])
    await assertAlive(client)
  })
})
