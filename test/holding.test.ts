import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { describe, it } from 'node:test'
import type { Client } from 'pg'
import { held } from './holding.ts'

describe('waiting for a hold', () => {
  const connection = (): Client => new EventEmitter() as unknown as Client

  it('has the id in the notice', async () => {
    const client = connection()
    const waiting = held(client)
    client.emit('notice', { detail: '{"approval":{"id":"apr_1"}}' })
    assert.equal(await waiting, 'apr_1')
    assert.deepEqual(client.eventNames(), [])
  })

  for (const event of ['drain', 'end'])
    it(`is over without one at ${event}`, async () => {
      const client = connection()
      const waiting = held(client)
      client.emit(event)
      await assert.rejects(waiting, /was not held/)
    })
})
