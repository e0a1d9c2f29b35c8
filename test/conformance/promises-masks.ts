import assert from 'node:assert/strict'
import { array, assert as holdsFor, asyncProperty, nat } from 'fast-check'
import { answered, logged, settledClient } from './acts.ts'
import type { Driver } from './driver.ts'
import type { Scene } from './scene.ts'
import type { Promised } from './suite.ts'

/** Nothing sensitive in sight. */
export function masks(promised: Promised, driver: Driver): void {
  const shows = (text: string): readonly string[] => driver.secrets.filter((secret) => text.includes(secret))

  promised('masks an answer the same wherever the network cuts it', async (scene) => {
    const client = await settledClient(scene)
    const whole = await answered(scene, client, 'masked')
    assert.deepEqual(shows(whole), [])
    const cuts = array(nat(4_096), { minLength: 1, maxLength: 12 })
    const same = asyncProperty(cuts, async (at) => {
      scene.target.behave({ does: 'cut', at })
      assert.equal(await answered(scene, client, 'masked'), whole)
    })
    await holdsFor(same, { numRuns: 30, endOnFailure: true })
    assert.deepEqual(shows(logText(scene)), [])
  })

  promised(
    'shows what is sensitive to whom it may be shown',
    async (scene) => {
      const client = await settledClient(scene)
      assert.ok((await answered(scene, client, 'masked')).includes(driver.sensitive))
    },
    { sees: true },
  )
}

/** All answers in the log, as they were given. */
function logText(scene: Scene): string {
  const answers = logged(scene, 'answer').map(({ bytes = '' }) => Buffer.from(bytes, 'base64').toString('latin1'))
  return `${JSON.stringify(scene.log.entries)}${answers.join('')}`
}
