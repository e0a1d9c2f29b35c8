import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { array, assert as holdsFor, asyncProperty, nat, uint8Array } from 'fast-check'
import { within } from '../waiting.ts'
import { aMoment, answered, closed, logged, settledClient } from './acts.ts'
import type { Driver } from './driver.ts'
import type { Scene } from './scene.ts'
import type { Promised } from './suite.ts'

/** Clients that do not keep to the protocol, or to good manners. */
export function clients(promised: Promised, driver: Driver): void {
  for (const [what, bytes] of Object.entries(driver.hostile)) {
    promised(`tells a client that it is wrong, and sends nothing of it on: ${what}`, async (scene) => {
      const [client, other] = [await scene.connect(), await settledClient(scene)]
      const ran = scene.target.ran.length
      client.send(...bytes)
      assert.equal((await client.hear()).is, 'refusal')
      assert.equal(scene.target.ran.length, ran)
      await answered(scene, other, 'allowed')
    })
  }

  promised('sends nothing of an operation that is cut short', async (scene) => {
    const bytes = driver.bytesOf('allowed')
    const cut = asyncProperty(nat(bytes.length - 1), async (length) => {
      const client = await scene.connect()
      client.send(bytes.subarray(0, length))
      client.socket.end()
      await closed(client)
    })
    await holdsFor(cut, { numRuns: 15, endOnFailure: true })
    await scene.leave()
    assert.deepEqual(
      scene.target.ran.filter((word) => word !== 'allowed'),
      [],
    )
    assert.ok(scene.target.ran.length <= logged(scene, 'operation').length)
  })

  promised('takes an operation however the network cuts it', async (scene) => {
    const client = await settledClient(scene)
    const bytes = driver.bytesOf('masked')
    const whole = await answered(scene, client, 'masked')
    const same = asyncProperty(array(nat(bytes.length - 1), { maxLength: 6 }), async (places) => {
      const cuts = [...new Set([0, ...places])].sort((one, other) => one - other)
      for (const [place, from] of cuts.entries()) {
        client.send(bytes.subarray(from, cuts[place + 1]))
        await setTimeout(1)
      }
      const heard = await client.hear()
      assert.deepEqual([heard.is, heard.text], ['answer', whole])
    })
    await holdsFor(same, { numRuns: 15, endOnFailure: true })
  })

  promised('survives bytes at random, and sends none of them on', async (scene) => {
    const noise = asyncProperty(uint8Array({ minLength: 1, maxLength: 600 }), async (bytes) => {
      const client = await scene.connect()
      client.send(bytes)
      client.socket.end()
      await closed(client)
    })
    await holdsFor(noise, { numRuns: 25, endOnFailure: true })
    assert.deepEqual(scene.target.ran, [])
  })

  promised('takes no more from a target than a slow client may have waiting, and serves others', slow, { sees: true })

  promised(
    'ends a session whose client reads nothing and goes',
    async (scene) => {
      const client = await settledClient(scene)
      client.socket.pause()
      scene.target.behave({ does: 'answer' })
      client.send(driver.bytesOf('bulk'))
      await atRest(() => scene.target.taken)
      client.socket.resetAndDestroy()
      await scene.leave()
      assert.equal(scene.leases.live, 0)
    },
    { sees: true },
  )

  promised('takes no more from a client that asks and asks and reads nothing than it can bear', async (scene) => {
    const client = await settledClient(scene)
    client.socket.pause()
    client.send(...Array.from({ length: 20 }, () => driver.bytesOf('allowed')))
    await aMoment()
    client.socket.resume()
    for (let turn = 0; turn < 20; turn++) assert.equal((await client.hear()).is, 'answer')
  })
}

async function slow(scene: Scene): Promise<void> {
  const [client, other] = [await settledClient(scene), await settledClient(scene)]
  const { received } = client
  client.socket.pause()
  scene.target.behave({ does: 'answer' })
  client.send(scene.driver.bytesOf('bulk'))
  const taken = await atRest(() => scene.target.taken)
  await answered(scene, other, 'allowed')
  client.socket.resume()
  await atRest(() => client.received)
  assert.equal((await client.hear()).is, 'answer')
  const whole = client.received - received
  assert.ok(taken < whole * 0.75, `${taken} of ${whole} bytes were taken from the target`)
}

/** Waits until a count of bytes has begun to grow and grows no more; what it is then. */
async function atRest(count: () => number): Promise<number> {
  await within('bytes come', async () => count() > 0, 10_000)
  for (let seen = -1; seen !== count(); await setTimeout(150)) seen = count()
  return count()
}
