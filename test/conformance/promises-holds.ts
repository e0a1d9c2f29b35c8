import assert from 'node:assert/strict'
import { within } from '../waiting.ts'
import { aMoment, answered, ask, closed, inHold, KEEPER, KILLED, logged, pending, runs, settledClient } from './acts.ts'
import type { Promised } from './suite.ts'

/** What needs a person's yes. */
export function holds(promised: Promised): void {
  promised('runs a held operation once when it is approved, and not a second time', async (scene) => {
    const { client, approval } = await inHold(scene)
    assert.equal(runs(scene, 'held'), 0)
    await scene.approvals.vote(approval.id, KEEPER, 'approve')
    assert.equal((await client.hear()).is, 'answer')
    client.send(scene.driver.bytesOf('held'))
    const again = await pending(scene, approval.session)
    assert.notEqual(again.id, approval.id)
    await aMoment()
    assert.equal(runs(scene, 'held'), 1)
    assert.equal(logged(scene, 'operation').find(({ approval }) => approval?.by.length === 1)?.decision, 'allow')
  })

  promised('runs it once though two connections waited for the same approval', async (scene) => {
    const { client, approval } = await inHold(scene)
    const other = await settledClient(scene)
    other.send(scene.driver.bytesOf('held'))
    const held = (): number => logged(scene, 'operation').filter(({ decision }) => decision === 'hold').length
    await within('both of them wait', async () => held() === 2, 5_000)
    await scene.approvals.vote(approval.id, KEEPER, 'approve')
    const heard = await Promise.all([client.hear(), other.hear()])
    assert.deepEqual(heard.map(({ is }) => is).sort(), ['answer', 'refusal'])
    assert.equal(runs(scene, 'held'), 1)
  })

  promised('does not run what is rejected; the connection goes on', async (scene) => {
    const { client, approval } = await inHold(scene)
    await scene.approvals.vote(approval.id, KEEPER, 'reject', 'not today')
    const { is, code, text } = await client.hear()
    assert.deepEqual([is, code], ['refusal', 'approval_rejected'])
    assert.match(text, /not today/)
    await answered(scene, client, 'allowed')
    assert.equal(runs(scene, 'held'), 0)
  })

  promised(
    'does not run what nobody approves in time; approved later it runs when it is sent again',
    async (scene) => {
      const client = await settledClient(scene)
      const { is, code } = await ask(scene, client, 'held')
      assert.deepEqual([is, code, runs(scene, 'held')], ['refusal', 'approval_required', 0])
      const session = scene.sessions()[0]!.opening.id
      await scene.approvals.vote((await pending(scene, session)).id, KEEPER, 'approve')
      await aMoment()
      assert.equal(runs(scene, 'held'), 0)
      await answered(scene, client, 'held')
      assert.equal(runs(scene, 'held'), 1)
    },
    { waitMs: 200 },
  )

  promised('decides again when it is approved: a policy made stricter in the meantime wins', async (scene) => {
    const { client, approval } = await inHold(scene)
    scene.policy.tighten()
    await scene.approvals.vote(approval.id, KEEPER, 'approve')
    const { is, code } = await client.hear()
    assert.deepEqual([is, code, runs(scene, 'held')], ['refusal', 'denied', 0])
  })

  for (const way of ['end', 'resetAndDestroy'] as const) {
    promised(
      `withdraws what is held when its client leaves (${way}): approved then, it does not run`,
      async (scene) => {
        const { client, approval } = await inHold(scene)
        client.socket[way]()
        await scene.leave()
        assert.equal((await scene.approvals.find(approval.id))?.state, 'withdrawn')
        await scene.approvals.vote(approval.id, KEEPER, 'approve')
        assert.equal(runs(scene, 'held'), 0)
        assert.equal(scene.leases.live, 0)
      },
    )
  }

  promised('does not run what waits when its session is killed', async (scene) => {
    const { client, approval } = await inHold(scene)
    for (const session of scene.sessions()) session.stop(KILLED)
    assert.notEqual((await client.hear()).is, 'answer')
    await closed(client)
    await scene.approvals.vote(approval.id, KEEPER, 'approve')
    await aMoment()
    assert.equal(runs(scene, 'held'), 0)
  })
}
