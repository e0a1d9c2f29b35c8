import assert from 'node:assert/strict'
import { once } from 'node:events'
import { logged } from './acts.ts'
import { TOKEN, type Driver } from './driver.ts'
import type { Promised } from './suite.ts'

/** Who gets in. */
export function doors(promised: Promised, driver: Driver): void {
  promised('opens no session without a good token, and records that', async (scene) => {
    for (const token of [undefined, 'another-token', `${TOKEN}x`]) {
      const { is, text } = await scene.knock(token)
      assert.equal(is, 'refusal')
      assert.ok(token === undefined || !text.includes(token))
    }
    assert.deepEqual([scene.target.bytes, scene.leases.made], [0, 0])
    const refused = logged(scene, 'session.refused')
    assert.deepEqual(
      refused.map(({ refusal }) => refusal.code),
      ['identity', 'identity', 'identity'],
    )
    assert.equal(scene.log.entries.length, 3)
  })

  promised(
    'opens no session for whom no rule lets in, and records that',
    async (scene) => {
      const { is, code } = await scene.knock(TOKEN)
      assert.deepEqual([is, code], ['refusal', 'denied'])
      assert.deepEqual([scene.target.bytes, scene.leases.made], [0, 0])
      assert.deepEqual(
        scene.log.entries.map(({ type }) => type),
        ['session.refused'],
      )
    },
    { connects: false },
  )

  promised('opens no session when no credential can be made, and records that', async (scene) => {
    scene.leases.fail()
    const { is, code } = await scene.knock(TOKEN)
    assert.deepEqual([is, code], ['refusal', 'unavailable'])
    assert.equal(scene.target.bytes, 0)
    assert.equal(await scene.openGrants(), 0)
    assert.deepEqual(
      scene.log.entries.map(({ type }) => type),
      ['session.refused'],
    )
  })

  promised('closes a connection that begins with nonsense', async (scene) => {
    for (const bytes of driver.nonsense) {
      const socket = await scene.dial()
      socket.resume().end(bytes)
      await once(socket, 'close', { signal: AbortSignal.timeout(5_000) })
    }
    assert.deepEqual([scene.target.bytes, scene.log.entries], [0, []])
  })

  for (const [what, bytes] of Object.entries({ nothing: Buffer.alloc(0), ...driver.beginnings })) {
    promised(
      `gives up on a client that says ${what}, and no more`,
      async (scene) => {
        const socket = await scene.dial()
        socket.resume().write(bytes)
        await once(socket, 'close', { signal: AbortSignal.timeout(5_000) })
        assert.equal(scene.target.bytes, 0)
        assert.deepEqual(scene.log.entries, [])
      },
      { handshakeMs: 200 },
    )
  }
}
