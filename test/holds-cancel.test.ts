import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { Client } from 'pg'
import { approve, connected, held, refused, stateOf } from './holding.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

const POLICIES = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("updates-wait") @hold("group:dba") @wait("60s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource in Target::"orders");
`
const UPDATE = 'UPDATE orders SET total = 0 WHERE id = 10'

describe('cancelling what is held', () => {
  let scene: Scene
  let dba: string

  before(async () => {
    scene = await startScene({ policies: POLICIES })
    dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'] })
  })
  after(() => scene?.[Symbol.asyncDispose]())

  /** "CancelRequest": its length, its code, the process and its key. */
  const request = (pid: number, key: number): Buffer => {
    const bytes = Buffer.alloc(16)
    ;[16, 80877102, pid, key].forEach((value, place) => bytes.writeInt32BE(value, place * 4))
    return bytes
  }
  const keyOf = (client: Client): { pid: number; key: number } => {
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
    return { pid: processID, key: secretKey }
  }
  /** Sends bytes on a connection of their own and waits until the gateway has closed it. */
  const send = async (bytes: Buffer, encrypted = false): Promise<void> => {
    let socket: Socket = connectTcp(scene.gateway.postgres.port, '127.0.0.1')
    if (encrypted) {
      socket.write(Buffer.from('0000000804d2162f', 'hex')) // SSLRequest
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.equal(answer.toString(), 'S')
      socket = connectTls({ socket, ca: scene.gateway.tls.certificate, servername: 'localhost' })
    }
    socket.resume().write(bytes)
    await once(socket, 'close')
  }
  const untouched = async (): Promise<void> =>
    assert.deepEqual(await scene.truth('SELECT total::int FROM orders WHERE id = 10'), [{ total: 100 }])

  for (const encrypted of [false, true]) {
    it(`by its own key withdraws it, ${encrypted ? 'over TLS' : 'in clear'}, and the session goes on`, async () => {
      await using client = await connected(scene)
      const waiting = held(client)
      const result = refused(client.query(UPDATE))
      const id = await waiting
      const { pid, key } = keyOf(client)
      await send(request(pid, key), encrypted)
      const { code, refusal } = await result
      assert.equal(code, '57014')
      assert.equal(refusal.code, 'cancelled')
      assert.equal(await stateOf(scene, id, dba, 'withdrawn'), 'withdrawn')
      assert.equal((await client.query('SELECT 1')).rowCount, 1)
      await untouched()
    })
  }

  it('by a wrong key, another session’s key or no key withdraws nothing, and tells nothing', async () => {
    await using client = await connected(scene)
    await using other = await connected(scene)
    const waiting = held(client)
    const result = client.query('UPDATE orders SET total = 251 WHERE id = 12')
    const id = await waiting
    const { pid, key } = keyOf(client)
    for (const bytes of [
      request(pid, key ^ 1),
      request(pid, keyOf(other).key),
      request(keyOf(other).pid, key),
      request(pid, 0),
    ])
      await send(bytes)
    assert.equal(await stateOf(scene, id, dba, 'pending'), 'pending')
    await approve(scene, id, dba)
    assert.equal((await result).rowCount, 1)
  })

  it('and sending it again asks anew', async () => {
    await using client = await connected(scene)
    const ids: string[] = []
    for (let turn = 0; turn < 2; turn++) {
      const waiting = held(client)
      const result = refused(client.query(UPDATE))
      ids.push(await waiting)
      await send(request(keyOf(client).pid, keyOf(client).key))
      assert.equal((await result).code, '57014')
    }
    assert.notEqual(ids[0], ids[1])
    await untouched()
  })

  it('by saying good-bye on the connection withdraws it too', async () => {
    const client = await scene.connect()
    const waiting = held(client)
    const result = client.query(UPDATE).catch(() => undefined)
    const id = await waiting
    await client.end()
    await result
    assert.equal(await stateOf(scene, id, dba, 'withdrawn'), 'withdrawn')
    await untouched()
    await within('the role is gone', async () => (await scene.roles()).length === 0)
  })

  it('is something else than cancelling what runs: that is passed on to the target', async () => {
    await using client = await connected(scene)
    const result = refused(
      client.query('SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100) b'),
    )
    const running =
      "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()"
    while ((await scene.truth(running)).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    await send(request(keyOf(client).pid, keyOf(client).key))
    assert.equal((await result).code, '57014')
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    assert.deepEqual(await scene.truth(running), [])
  })
})
