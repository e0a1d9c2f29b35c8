import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock, type Clock } from '../src/gateway/clock.ts'
import { approve, connected, held, refused, stateOf } from './holding.ts'
import { startScene, type Scene } from './scene.ts'

const BASE = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("customers-wait") @hold("group:dba") @wait("60s") @ticket("10m")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.customers");
@id("orders-by-ticket") @hold("group:dba") @wait("0s") @ticket("10m")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.orders");
`
const STRICTER = `${BASE}
@id("owners-too") @hold("group:crm") @wait("0s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.orders");
`
const FORBIDDING = `${BASE}
@id("frozen-for-the-audit") @message("No changes during the audit.")
forbid (principal, action in Action::"write", resource in Target::"orders");
`

describe('what was approved is decided again before it runs', () => {
  let scene: Scene
  let dba: string
  let ahead = 0
  /** Wall time can be put forward; nothing ever puts it back. */
  const clock: Clock = { ...systemClock, now: () => Date.now() + ahead }

  before(async () => {
    scene = await startScene({ policies: BASE, clock })
    dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'], forMs: 24 * 3_600_000 })
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const policies = async (text: string): Promise<void> => {
    await writeFile(join(scene.directory, 'policies', 'scene.cedar'), text)
    await scene.restart()
  }
  const agent = (): Promise<string> => scene.token({ forMs: 24 * 3_600_000 })
  const balance = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT balance::int FROM customers WHERE id = ${id}`))[0]!['balance']
  const total = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT total::int FROM orders WHERE id = ${id}`))[0]!['total']
  /** A ticket for the update, approved. */
  const ticketFor = async (update: string): Promise<string> => {
    await using client = await connected(scene, await agent())
    const { refusal } = await refused(client.query(update))
    await approve(scene, refusal.approval!.id, dba)
    return refusal.approval!.id
  }

  it('is withdrawn when the gateway is restarted while it waits, and nothing ran', async () => {
    const client = await scene.connect(await agent())
    const waiting = held(client)
    const result = refused(client.query('UPDATE customers SET balance = 0 WHERE id = 1'))
    const id = await waiting
    await scene.restart()
    await result
    assert.equal(await stateOf(scene, id, dba, 'withdrawn'), 'withdrawn')
    assert.equal(await balance(1), 10)
    assert.deepEqual(await scene.roles(), [])
  })

  it('keeps its ticket over a restart of the gateway', async () => {
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 10'
    await ticketFor(update)
    await scene.restart()
    await using client = await connected(scene, await agent())
    assert.equal((await client.query(update)).rowCount, 1)
    assert.equal((await refused(client.query(update))).code, 'SP001')
    assert.equal(await total(10), 101)
  })

  it('ends with its session when the token of the session ends while it waits', async () => {
    await using client = await connected(scene, await scene.token({ forMs: 2000 }))
    const waiting = held(client)
    const result = refused(client.query('UPDATE customers SET balance = 0 WHERE id = 2'))
    const id = await waiting
    const { code, severity } = await result
    assert.equal(code, '28000')
    assert.equal(severity, 'FATAL')
    assert.equal(await stateOf(scene, id, dba, 'withdrawn'), 'withdrawn')
    assert.equal(await balance(2), 20)
  })

  it('is refused when the token has ended by the time it is approved, and the approval is not spent', async () => {
    await using client = await connected(scene, await scene.token({ forMs: 60_000 }))
    const waiting = held(client)
    const result = refused(client.query('UPDATE customers SET balance = 0 WHERE id = 3'))
    const id = await waiting
    ahead += 61_000
    await approve(scene, id, dba)
    const { code, refusal } = await result
    assert.equal(code, '28000')
    assert.equal(refusal.code, 'identity')
    assert.equal((await scene.api(dba, `/api/v1/approvals/${id}`)).body['state'], 'approved')
    assert.equal(await balance(3), 30)
  })

  it('is held anew when the ticket has run out', async () => {
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 12'
    const id = await ticketFor(update)
    ahead += 600_000
    await using client = await connected(scene, await agent())
    const { code, refusal } = await refused(client.query(update))
    assert.equal(code, 'SP001')
    assert.notEqual(refusal.approval!.id, id)
    assert.equal((await scene.api(dba, `/api/v1/approvals/${id}`)).body['state'], 'expired')
    assert.equal(await total(12), 250)
  })

  it('cannot be approved once the request has run out', async () => {
    const update = 'UPDATE orders SET total = total + 2 WHERE id = 12'
    await using client = await connected(scene, await agent())
    const { refusal } = await refused(client.query(update))
    ahead += 600_000
    const { status, body } = await scene.api(dba, `/api/v1/approvals/${refusal.approval!.id}/approve`, {})
    assert.equal(status, 409)
    assert.equal(body['code'], 'approval_expired')
    assert.equal(await total(12), 250)
  })

  it('is held anew when the policy now asks for another group as well', async () => {
    const update = 'UPDATE orders SET total = total + 1 WHERE id = 11'
    const id = await ticketFor(update)
    await policies(STRICTER)
    await using client = await connected(scene, await agent())
    const { code, message, refusal } = await refused(client.query(update))
    assert.equal(code, 'SP001')
    assert.match(message, /crm/)
    assert.notEqual(refusal.approval!.id, id)
    assert.equal(await total(11), 12)
  })

  it('is denied when the policy now forbids it', async () => {
    const update = 'UPDATE orders SET total = total + 2 WHERE id = 11'
    const id = await ticketFor(update)
    await approve(scene, id, await scene.token({ kind: 'User', name: 'cleo', groups: ['crm'] }))
    await policies(FORBIDDING)
    await using client = await connected(scene, await agent())
    const { code, message } = await refused(client.query(update))
    assert.equal(code, '42501')
    assert.match(message, /No changes during the audit/)
    assert.equal(await total(11), 12)
  })
})
