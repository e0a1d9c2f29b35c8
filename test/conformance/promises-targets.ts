import assert from 'node:assert/strict'
import { within } from '../waiting.ts'
import { aMoment, answered, ask, logged, settledClient } from './acts.ts'
import type { Behaviour } from './deliver.ts'
import type { Promised } from './suite.ts'

const FAULTS: Readonly<Record<string, Behaviour>> = {
  'resets its connection': { does: 'reset' },
  'closes its connection': { does: 'close' },
  'sends garbage': { does: 'garbage' },
}

/** Targets that do not keep to the protocol. */
export function targets(promised: Promised): void {
  for (const [what, behaviour] of Object.entries(FAULTS)) {
    for (const sees of [false, true]) {
      promised(
        `never shows half an answer as a whole one when the target ${what} in mid-answer${sees ? ', where answers stream' : ''}`,
        async (scene) => {
          const [client, other] = [await settledClient(scene), await settledClient(scene)]
          scene.target.behave(behaviour)
          const { is, code } = await ask(scene, client, 'allowed')
          assert.notEqual(is, 'answer')
          if (is === 'refusal') assert.equal(code, 'unavailable')
          const ended = (): readonly string[] => logged(scene, 'answer').flatMap(({ outcome }) => outcome?.status ?? [])
          await within('the end of it is recorded', async () => ended().length === 3, 5_000)
          assert.deepEqual(ended(), ['done', 'done', 'unknown'])
          scene.target.behave({ does: 'answer' })
          await answered(scene, other, 'allowed')
        },
        { sees },
      )
    }
  }

  for (const does of ['repeat', 'repeat later'] as const) {
    promised(`gives nobody an answer that nobody asked for (${does})`, async (scene) => {
      const [client, other] = [await settledClient(scene), await settledClient(scene)]
      const expected = await answered(scene, other, 'masked')
      const { received } = client
      scene.target.behave({ does })
      const once = await ask(scene, client, 'allowed')
      const length = client.received - received
      scene.target.behave({ does: 'answer' })
      await aMoment()
      await aMoment()
      assert.equal(await answered(scene, other, 'masked'), expected)
      if (once.is === 'answer' && !client.socket.closed) assert.ok(client.received - received <= length)
    })
  }
}
