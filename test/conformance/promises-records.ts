import assert from 'node:assert/strict'
import { aMoment, answered, ask, closed, inHold, KEEPER, logged, runs, settledClient } from './acts.ts'
import { TOKEN } from './driver.ts'
import type { Promised } from './suite.ts'

/** Recorded before it happens. */
export function records(promised: Promised): void {
  promised('sends not a byte of an operation before it is recorded', async (scene) => {
    const client = await settledClient(scene)
    const { bytes } = scene.target
    const storing = scene.log.block('operation')
    client.send(scene.driver.bytesOf('allowed'))
    await storing.reached
    await aMoment()
    assert.equal(scene.target.bytes, bytes)
    storing.release()
    assert.equal((await client.hear()).is, 'answer')
  })

  promised('does not run what cannot be recorded, says so, and goes on when it can', async (scene) => {
    const client = await settledClient(scene)
    const disk = scene.log.fail('operation')
    for (const word of ['allowed', 'denied'] as const) {
      const { is, code } = await ask(scene, client, word)
      assert.deepEqual([is, code], ['refusal', 'unrecordable'])
    }
    disk.mend()
    await answered(scene, client, 'allowed')
    assert.deepEqual(scene.target.ran, ['allowed', 'allowed'])
  })

  promised('shows its client nothing of an answer before it is recorded', async (scene) => {
    const client = await settledClient(scene)
    const answers = (): number => client.said().split(scene.driver.says).length - 1
    const storing = scene.log.block('answer')
    client.send(scene.driver.bytesOf('allowed'))
    await storing.reached
    await aMoment()
    assert.equal(answers(), 1)
    storing.release()
    assert.equal((await client.hear()).is, 'answer')
    assert.equal(answers(), 2)
  })

  promised('shows its client nothing of an answer that cannot be recorded: the session ends', async (scene) => {
    const client = await settledClient(scene)
    scene.log.fail('answer')
    const { is, code } = await ask(scene, client, 'allowed')
    assert.deepEqual([is, code], ['refusal', 'unrecordable'])
    await closed(client)
  })

  promised('opens no session that cannot be recorded, and takes back what it lent for it', async (scene) => {
    scene.log.fail('session.opened')
    const { is, code } = await scene.knock(TOKEN)
    assert.deepEqual([is, code], ['refusal', 'unrecordable'])
    assert.deepEqual([scene.target.bytes, scene.leases.made, scene.leases.live], [0, 1, 0])
  })

  promised('does not run what was approved and cannot be recorded', async (scene) => {
    const { client, approval } = await inHold(scene)
    scene.log.fail('operation')
    await scene.approvals.vote(approval.id, KEEPER, 'approve')
    const { is, code } = await client.hear()
    assert.deepEqual([is, code, runs(scene, 'held')], ['refusal', 'unrecordable', 0])
  })

  promised('records what it denies and sends nothing of it; the connection goes on', async (scene) => {
    const client = await settledClient(scene)
    const { bytes } = scene.target
    const { is, code } = await ask(scene, client, 'denied')
    assert.deepEqual([is, code], ['refusal', 'denied'])
    assert.equal(logged(scene, 'operation').at(-1)?.refusal?.code, 'denied')
    assert.equal(runs(scene, 'denied'), 0)
    await answered(scene, client, 'allowed')
    assert.ok(scene.target.bytes > bytes)
  })

  promised('records an operation, then its answer, and the end of it, in this order', async (scene) => {
    const client = await settledClient(scene)
    await answered(scene, client, 'masked')
    const trail = scene.log.entries.flatMap((entry) => {
      if (entry.type === 'answer') return [entry.outcome ? `answer ${entry.outcome.status}` : 'answer']
      return [entry.type]
    })
    assert.equal(trail[0], 'session.opened')
    assert.equal(trail.filter((step) => step === 'answer done').length, 2)
    assert.equal(trail.at(-1), 'answer done')
    assert.ok(trail.indexOf('operation') < trail.findIndex((step) => step.startsWith('answer')))
  })
}
