import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openStore, type Store } from '../../src/store/store.ts'
import type { Driver } from './driver.ts'
import { clients } from './promises-clients.ts'
import { doors } from './promises-doors.ts'
import { endings } from './promises-endings.ts'
import { holds } from './promises-holds.ts'
import { masks } from './promises-masks.ts'
import { records } from './promises-records.ts'
import { targets } from './promises-targets.ts'
import { startScene, type Scene, type SceneOptions } from './scene.ts'

/**
 * One promise: a test with a scene of its own. When it is through, every client leaves, and what holds after every
 * session is asserted too.
 */
export type Promised = (promise: string, test: (scene: Scene) => Promise<void>, options?: SceneOptions) => void

/** Scenes share a store and nothing else, and mostly wait. */
const AT_ONCE = 6

/** What every protocol has to keep. */
export function conformance(driver: Driver): void {
  describe(`${driver.name}: conformance`, { concurrency: AT_ONCE }, () => {
    let directory: string
    let store: Store
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'sallyport-conformance-'))
      store = await openStore(directory)
    })
    after(async () => {
      await store?.[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    })
    const promised: Promised = (promise, test, options) => {
      it(promise, async () => {
        await using scene = await startScene(driver, store, options)
        await test(scene)
        await scene.leave()
        await assertAllOver(scene)
      })
    }
    for (const theme of [records, holds, masks, endings, targets, clients, doors]) theme(promised, driver)
  })
}

/** Every session is over, and in order; nothing was thrown, nothing was sent without a permit, nothing lent is left. */
async function assertAllOver(scene: Scene): Promise<void> {
  const { log, leases, target, thrown } = scene
  assert.deepEqual(thrown, [])
  assert.deepEqual(target.unpermitted(log.entries), [])
  assert.equal(leases.live, 0)
  assert.equal(await scene.openGrants(), 0)
  for (const { session } of log.entries.filter((entry) => entry.type === 'session.opened')) {
    const trail = log.entries.filter((entry) => 'session' in entry && entry.session === session)
    const types = trail.map(({ type }) => type)
    assert.equal(types.indexOf('session.closed'), types.length - 1, types.join(', '))
    assert.equal(types.filter((type) => type === 'lease.revoked').length, 1)
  }
}
