import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { dataRow, frame, ready, rowDescription, str } from '../../../test/frames-builder.ts'
import { startFake } from './fake.ts'
import { FRONTEND } from './message-types.ts'
import { placeholder, typesWithPlaceholder } from './placeholders.ts'

describe('placeholder', () => {
  it('is read by node-postgres as a value of its type', async () => {
    const types = typesWithPlaceholder()
    const fields = types.map((type) => ({ name: `type${type}`, type }))
    const row = dataRow(...types.map((type) => placeholder(type, 0)))
    const answer = [rowDescription(...fields), row, frame('C', str('SELECT 1')), ready('I')]
    await using fake = await startFake({
      answer: ({ type }, client) => type === FRONTEND.Query && client.send(...answer),
    })
    const client = new Client({ host: '127.0.0.1', port: fake.port, user: 'ada', database: 'orders' })
    await client.connect()
    const { rows } = await client.query<Record<string, unknown>>('SELECT')
    await client.end()
    const [values] = rows
    assert.equal(values?.type25, '***')
    assert.equal(values.type16, false)
    assert.equal(values.type23, 0)
    assert.equal(values.type3802, '***')
    assert.deepEqual(values.type1009, [])
    assert.equal((values.type1184 as Date).getTime(), 0)
    assert.ok(Object.values(values).every((value) => value !== null && value !== undefined))
  })

  it('is NULL for a type that is not known', () => {
    assert.equal(placeholder(16_500, 0), null)
    assert.equal(placeholder(603, 1), null)
  })
})
