import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { StoredEntry } from '../src/record/entry.ts'
import { readLog } from '../src/record/read.ts'
import { connectTo, createToken, sallyport, serve, type Serving } from './command.ts'
import { startShop, type Shop } from './shop.ts'
import { SLEEPERS, within } from './waiting.ts'

/** The start of a process and what it sweeps first; not what is measured here. */
const SLOWLY = 15_000

describe('a gateway that dies or is told to end', () => {
  let shop: Shop
  let token: string
  let gateway: Serving
  before(async () => {
    shop = await startShop({ rules: SLEEPERS })
    gateway = await serve(shop.config)
    token = await createToken(shop.config, '--agent', 'report-bot', '--group', 'data-agents', 'sleepers')
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await shop[Symbol.asyncDispose]()
  })

  const connect = (): Promise<Client> => connectTo(gateway.postgres, token)
  const sleeping = async (seconds: number): Promise<{ readonly client: Client; readonly answer: Promise<unknown> }> => {
    const client = await connect()
    const answer = client.query(`SELECT pg_sleep(${seconds}), 'rested' AS state`).then(({ rows }) => rows[0]?.state)
    answer.catch(() => undefined)
    await within('the statement runs', async () => (await active()).length === 1)
    return { client, answer }
  }
  const active = (): ReturnType<Shop['truth']> =>
    shop.truth(`SELECT FROM pg_stat_activity WHERE usename LIKE 'sp\\_%' AND state = 'active'`)
  const records = (): Promise<readonly StoredEntry[]> =>
    Array.fromAsync(readLog({ dir: join(shop.directory, 'sallyport-data', 'log') }))
  const openTransaction = async (id: number): Promise<Client> => {
    const client = await connect()
    await client.query('BEGIN')
    await client.query(`INSERT INTO orders VALUES (${id}, 1, 1)`)
    return client
  }

  it('leaves after kill -9 what its next start revokes before it takes anybody in', async () => {
    await connect()
    await openTransaction(900)
    await sleeping(60)
    const left = await shop.roles()
    assert.equal(left.length, 3)
    gateway.kill('SIGKILL')
    await gateway.ended
    assert.deepEqual(await shop.roles(), left)
    assert.equal((await active()).length, 1)

    gateway = await serve(shop.config)
    assert.deepEqual(await shop.roles(), [])
    assert.deepEqual(await active(), [])
    assert.deepEqual(await shop.truth('SELECT FROM orders WHERE id = 900'), [])
    const swept = (await records()).filter((record) => record.type === 'lease.revoked' && record.reason === 'orphan')
    assert.deepEqual(
      swept.map((record) => 'verified' in record && [record.lease, record.verified]),
      left.toSorted().map((role) => [role, true]),
    )
    const { rows } = await (await connect()).query('SELECT count(*)::int AS orders FROM orders')
    assert.deepEqual(rows, [{ orders: 3 }])
  })

  it('has a log that verifies after kill -9 and the start that followed', async () => {
    const { code, stdout } = await sallyport(['audit', 'verify', '--config', shop.config])
    assert.match(stdout, /^intact: \d+ records/)
    assert.equal(code, 0)
  })

  it('lets a running statement end on SIGTERM, rolls back what is open, and ends with 0', async () => {
    const idle = await connect()
    const told = new Promise<{ readonly code?: string }>((resolve) => idle.once('error', resolve))
    await openTransaction(901)
    const { answer } = await sleeping(1.5)
    gateway.kill('SIGTERM')
    await within('it says so', async () => gateway.said().stdout.includes('SIGTERM: draining'))
    await assert.rejects(connect())
    assert.equal((await told).code, 'SP004')
    assert.equal(await answer, 'rested')
    const { code, stdout, stderr } = await gateway.ended
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /\ndrained\n$/)
    assert.deepEqual(await shop.roles(), [])
    assert.deepEqual(await shop.truth('SELECT FROM orders WHERE id = 901'), [])
    const trail = await records()
    const opened = trail.filter(({ type }) => type === 'session.opened').length
    const verified = trail.filter((record) => record.type === 'lease.revoked' && record.verified).length
    assert.equal(verified, opened)
    assert.equal(trail.at(-1)?.type, 'checkpoint')
  })

  it('revokes on SIGTERM what is being opened, and what is being closed, at that moment', async () => {
    gateway = await serve(shop.config)
    const leaving = await Promise.all([connect(), connect(), connect()])
    const coming = Array.from({ length: 12 }, () => connect().catch((error: { readonly code?: string }) => error.code))
    await within('sessions are being opened', async () => (await shop.roles()).length > 3, SLOWLY)
    gateway.kill('SIGTERM')
    for (const client of leaving) socketOf(client).destroy()
    const { code, stderr } = await gateway.ended
    await Promise.all(coming)
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(await shop.roles(), [])
  })

  it('withdraws on SIGTERM what waits for a human', async () => {
    gateway = await serve(shop.config)
    const client = await connect()
    const held = new Promise<void>((resolve) => client.once('notice', () => resolve()))
    const answer = client.query('UPDATE orders SET total = 0 WHERE id = 10').then(
      () => 'it ran',
      (error: { readonly code?: string }) => error.code,
    )
    await held
    gateway.kill('SIGTERM')
    assert.notEqual(await answer, 'it ran')
    assert.equal((await gateway.ended).code, 0)
    assert.deepEqual(await shop.truth('SELECT total::float FROM orders WHERE id = 10'), [{ total: 99.5 }])
    assert.deepEqual(await shop.roles(), [])
  })

  it('takes the role away from a client that was killed with the gateway', async () => {
    gateway = await serve(shop.config)
    const { client } = await sleeping(60)
    const [role] = await shop.roles()
    socketOf(client).destroy()
    gateway.kill('SIGKILL')
    await gateway.ended
    gateway = await serve(shop.config)
    await within('the role is gone', async () => !(await shop.roles()).includes(role!), SLOWLY)
  })
})

function socketOf(client: Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream
}
