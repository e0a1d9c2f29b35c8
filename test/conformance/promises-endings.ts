import assert from 'node:assert/strict'
import { within } from '../waiting.ts'
import { closed, inMidAnswer, KILLED, logged, settledClient } from './acts.ts'
import type { Client } from './driver.ts'
import type { Scene } from './scene.ts'
import type { Promised } from './suite.ts'

/** However a session ends, both sockets close, the lease is revoked, and the log says so. */
export function endings(promised: Promised): void {
  const kill = (scene: Scene): void => scene.sessions().forEach((session) => session.stop(KILLED))

  promised('ends an idle session when it is killed', async (scene) => {
    const client = await settledClient(scene)
    kill(scene)
    await closed(client)
    await assertEnded(scene, KILLED.message)
  })

  for (const sees of [false, true]) {
    promised(
      `ends a session in mid-answer when it is killed${sees ? ', where answers stream' : ''}`,
      async (scene) => {
        const client = await inMidAnswer(scene)
        kill(scene)
        assert.notEqual((await client.hear()).is, 'answer')
        await closed(client)
        await assertEnded(scene, KILLED.message)
        await assertTargetLeft(scene)
        assertUnknown(scene)
      },
      { sees },
    )
  }

  const ways: Readonly<Record<string, (client: Client) => void>> = {
    'hangs up': ({ socket }) => void socket.end(),
    'is cut off': ({ socket }) => void socket.resetAndDestroy(),
  }
  for (const [what, go] of Object.entries(ways)) {
    promised(`ends an idle session when its client ${what}`, async (scene) => {
      const client = await settledClient(scene)
      go(client)
      await closed(client)
      await assertEnded(scene)
    })

    for (const sees of [false, true]) {
      promised(
        `ends a session in mid-answer when its client ${what}${sees ? ', where answers stream' : ''}`,
        async (scene) => {
          const client = await inMidAnswer(scene)
          go(client)
          await assertEnded(scene)
          await assertTargetLeft(scene)
          assertUnknown(scene)
        },
        { sees },
      )
    }
  }

  promised('ends a session when its grant does, though it is idle', async (scene) => {
    const client = await settledClient(scene)
    scene.clock.passAnHour()
    await closed(client)
    await assertEnded(scene, EXPIRED)
  })

  promised('ends a session when its grant does, though an answer is under way', async (scene) => {
    const client = await inMidAnswer(scene)
    scene.clock.passAnHour()
    assert.notEqual((await client.hear()).is, 'answer')
    await closed(client)
    await assertEnded(scene, EXPIRED)
    await assertTargetLeft(scene)
    assertUnknown(scene)
  })
}

const EXPIRED = 'The grant of this session has ended.'

/** The one session is over: nothing lent is left, and the log has why. */
async function assertEnded(scene: Scene, reason?: string): Promise<void> {
  await within('the session is closed', async () => logged(scene, 'session.closed').length === 1, PATIENCE_MS)
  assert.equal(scene.leases.live, 0)
  assert.deepEqual(
    logged(scene, 'lease.revoked').map(({ verified }) => verified),
    [true],
  )
  if (reason !== undefined) assert.equal(logged(scene, 'session.closed')[0]?.reason, reason)
}

/** What was running has nobody to answer to. */
async function assertTargetLeft({ target }: Scene): Promise<void> {
  await within('the target is left', async () => target.connections === 0, PATIENCE_MS)
}

/** The log says of the last operation that nobody knows how it ended. */
function assertUnknown(scene: Scene): void {
  const operation = logged(scene, 'operation').at(-1)?.operation
  const outcomes = logged(scene, 'answer').flatMap((entry) =>
    entry.operation === operation && entry.outcome ? [entry.outcome.status] : [],
  )
  assert.deepEqual(outcomes, ['unknown'])
}

const PATIENCE_MS = 5_000
