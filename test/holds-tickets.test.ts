import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Client, DatabaseError, QueryConfig } from 'pg'
import { approve, connected, held, refused } from './holding.ts'
import { startScene, type Scene } from './scene.ts'

const POLICIES = `
@id("agents-connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("agents-read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("inserts") permit (principal in Group::"data-agents", action == Action::"sql.insert", resource in Target::"orders");
@id("orders-by-ticket") @hold("group:dba") @wait("0s") @ticket("60s") @preview("rows")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.orders");
@id("customers-wait") @hold("group:dba") @wait("30s") @ticket("60s") @preview("rows")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.customers");
`

describe('an approval', () => {
  let scene: Scene
  let dba: string

  before(async () => {
    scene = await startScene({ policies: POLICIES })
    dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'], person: 'dora@shop.example' })
    await scene.truth('INSERT INTO orders SELECT n, 1, 0 FROM generate_series(100, 200) n')
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const total = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT total::int FROM orders WHERE id = ${id}`))[0]!['total']
  const balance = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT balance::int FROM customers WHERE id = ${id}`))[0]!['balance']
  /** Sends it, gets the ticket, and has it approved after the statement was given up. */
  const ticketFor = async (client: Client, query: QueryConfig | string): Promise<string> => {
    const { code, refusal } = await refused(client.query(query))
    assert.equal(code, 'SP001')
    await approve(scene, refusal.approval!.id, dba)
    return refusal.approval!.id
  }

  it('covers exactly the approved bytes: one byte more is held anew', async () => {
    await using client = await connected(scene)
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 100'
    const id = await ticketFor(client, update)
    for (const changed of [`${update} `, update.replace('100', '101'), update.replace('UPDATE', 'update')]) {
      const { code, refusal } = await refused(client.query(changed))
      assert.equal(code, 'SP001')
      assert.notEqual(refusal.approval!.id, id)
    }
    assert.equal(await total(100), 0)
    assert.equal((await client.query(update)).rowCount, 1)
    assert.equal(await total(100), 1)
  })

  it('passes once, from another session of the same identity too, and is held anew after that', async () => {
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 102'
    await using one = await connected(scene)
    const id = await ticketFor(one, update)
    await using other = await connected(scene)
    assert.equal((await other.query(update)).rowCount, 1)
    const { code, refusal } = await refused(one.query(update))
    assert.equal(code, 'SP001')
    assert.notEqual(refusal.approval!.id, id)
    assert.equal(await total(102), 1)
    const ran = (await scene.records()).filter(
      (record) => record.type === 'operation' && record.text === update && record.decision === 'allow',
    )
    assert.deepEqual(
      ran.map((record) => record.type === 'operation' && record.approval),
      [{ id, by: ['local/dora'] }],
    )
  })

  it('does not count for another identity, however alike', async () => {
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 103'
    await using client = await connected(scene)
    const id = await ticketFor(client, update)
    await using twin = await connected(scene, await scene.token({ name: 'report-bot-2' }))
    const { code, refusal } = await refused(twin.query(update))
    assert.equal(code, 'SP001')
    assert.notEqual(refusal.approval!.id, id)
    assert.equal(await total(103), 0)
  })

  it('covers the parameters too, and its card shows them with an estimate of the rows', async () => {
    await using client = await connected(scene)
    const text = 'UPDATE orders SET total = total + $1 WHERE id = $2'
    const id = await ticketFor(client, { text, values: [7, 104] })
    const { body } = await scene.api(dba, `/api/v1/approvals/${id}`)
    assert.equal(body['text'], text)
    assert.deepEqual(body['parameters'], ['7', '104'])
    assert.deepEqual(body['preview'], { rows_estimate: 1 })
    for (const values of [
      [8, 104],
      [7, 105],
      [104, 7],
      [null, 104],
    ]) {
      const { refusal } = await refused(client.query({ text, values }))
      assert.equal(refusal.code, 'approval_required')
      assert.notEqual(refusal.approval!.id, id)
    }
    assert.equal(await total(104), 0)
    assert.equal((await client.query({ text, values: [7, 104] })).rowCount, 1)
    assert.equal(await total(104), 7)
  })

  it('is asked for with an estimate, and what is asked for that at the target is recorded before', async () => {
    await using client = await connected(scene)
    const text = 'UPDATE orders SET total = total + $1 WHERE id = $2'
    await refused(client.query({ text, values: [9, 106] }))
    const trail = (await scene.records()).filter(
      (record) => 'parameters' in record && record.parameters?.join() === '9,106',
    )
    assert.deepEqual(
      trail.map((record) => (record.type === 'operation' ? record.decision : record.type)),
      ['preview', 'hold', 'deny'],
    )
    assert.ok(trail.every((record) => 'text' in record && record.text === text))
    assert.equal(new Set(trail.map((record) => 'operation' in record && record.operation)).size, 1)
  })

  it('runs once when two sessions of one identity wait for it together', async () => {
    const update = 'UPDATE customers SET balance = balance + 1 WHERE id = 1'
    await using one = await connected(scene)
    await using other = await connected(scene)
    const asked = [one, other].map((client) => ({ id: held(client), result: client.query(update) }))
    const results = Promise.allSettled(asked.map(({ result }) => result))
    const [first, second] = await Promise.all(asked.map(({ id }) => id))
    assert.equal(first, second)
    await approve(scene, first!, dba)
    const ended = await results
    assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const failure = ended.find((result) => result.status === 'rejected')!.reason as DatabaseError
    assert.equal(failure.code, 'SP001')
    assert.match(failure.message, /Send it again to ask anew/)
    assert.equal(await balance(1), 11)
  })

  it('runs once when two sessions send the approved statement at the same moment', async () => {
    const text = 'UPDATE orders SET total = total + $1 WHERE id = 107'
    await using one = await connected(scene)
    await using other = await connected(scene)
    await ticketFor(one, { text, values: [1] })
    const ended = await Promise.allSettled([one, other].map((client) => client.query({ text, values: [1] })))
    assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal(await total(107), 1)
  })

  it('is not asked for inside a transaction: a ticket comes at once, and it passes there once approved', async () => {
    await using client = await connected(scene)
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 108'
    await client.query('BEGIN')
    let noticed = false
    client.once('notice', () => (noticed = true))
    const { code, refusal } = await refused(client.query(update))
    assert.equal(code, 'SP001')
    assert.equal(noticed, false)
    assert.equal((await refused(client.query('SELECT 1'))).code, '25P02')
    await client.query('ROLLBACK')
    await approve(scene, refusal.approval!.id, dba)
    await client.query('BEGIN')
    assert.equal((await client.query(update)).rowCount, 1)
    await client.query('COMMIT')
    assert.equal(await total(108), 1)
  })

  it('lets an extended statement with a named portal run after the wait, in the same connection', async () => {
    await using client = await connected(scene)
    const query = {
      name: 'bump',
      text: 'UPDATE customers SET balance = balance + $1 WHERE id = $2 RETURNING balance',
      values: [3, 2],
    }
    const waiting = held(client)
    const result = client.query(query)
    await approve(scene, await waiting, dba)
    assert.deepEqual((await result).rows, [{ balance: '23' }])
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    const again = held(client)
    const next = client.query(query)
    await approve(scene, await again, dba)
    assert.equal((await next).rows[0].balance, '26')
    assert.equal(await balance(2), 26)
  })

  it('says what became of it when another session of the same identity withdraws what both wait for', async () => {
    const update = 'UPDATE customers SET balance = balance + 1 WHERE id = 3'
    await using one = await connected(scene)
    const other = await connected(scene)
    const asked = [one, other].map((client) => ({ id: held(client), result: refused(client.query(update)) }))
    await Promise.all(asked.map(({ id }) => id))
    const socket = (other as unknown as { connection: { stream: { destroy(): void } } }).connection.stream
    socket.destroy()
    const { code, refusal, message } = await asked[0]!.result
    assert.equal(code, 'SP001')
    assert.equal(refusal.code, 'approval_expired')
    assert.match(message, /Send it again to ask anew/)
    assert.equal(await balance(3), 30)
  })
})
