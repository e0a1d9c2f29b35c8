import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startScene, type Scene } from './scene.ts'

const MIB = 1024 * 1024

describe('many reloads of one gateway', () => {
  let scene: Scene
  let policies: string
  let original: { readonly config: string; readonly policies: string }
  before(async () => {
    scene = await startScene()
    policies = join(scene.directory, 'policies', 'scene.cedar')
    original = { config: await readFile(scene.config, 'utf8'), policies: await readFile(policies, 'utf8') }
  })
  after(() => scene[Symbol.asyncDispose]())

  const reloaded = async (): Promise<number> =>
    (await scene.records()).filter(({ type }) => type === 'config.reloaded').length

  it('share one when they are asked for while another runs, and none is missed', async () => {
    const before = await reloaded()
    const first = scene.gateway.reload()
    await writeFile(
      policies,
      `${original.policies}\n@id("last") permit (principal, action in Action::"read", resource);`,
    )
    const all = await Promise.all(Array.from({ length: 20 }, () => scene.gateway.reload()))
    assert.equal(new Set(all.map(({ policy }) => policy)).size, 1)
    assert.equal(new Set(all).size, 1)
    await first
    assert.equal((await reloaded()) - before, 2)
    const client = await scene.connect()
    await client.end()
    const { policy } = (await scene.records()).findLast((entry) => entry.type === 'session.opened')!
    assert.equal(policy, all[0]?.policy)
  })

  it('leave neither memory nor handles behind', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const weigh = (): { readonly heap: number; readonly all: number; readonly handles: number } => {
      collect()
      const { heapUsed, rss } = process.memoryUsage()
      return { heap: heapUsed, all: rss, handles: process.getActiveResourcesInfo().length }
    }
    const reload = async (turn: number): Promise<void> => {
      const rule = `@id("turn-${turn}") permit (principal in Group::"g${turn}", action in Action::"read", resource);`
      await writeFile(policies, `${original.policies}\n${rule}`)
      await writeFile(
        scene.config,
        original.config.replace('customers.email', turn % 2 ? 'customers.notes' : 'customers.name'),
      )
      assert.equal((await scene.gateway.reload()).refused, undefined)
      if (turn % 20 === 0) await (await scene.connect()).end()
      // What is weighed is what is kept, not garbage that a busy machine has had no time to collect.
      if (turn % 20 === 0) collect()
    }
    for (let turn = 0; turn < 40; turn++) await reload(turn)
    const before = weigh()
    for (let turn = 40; turn < 240; turn++) await reload(turn)
    const after = weigh()
    assert.ok(after.heap - before.heap < 8 * MIB, `the heap grew by ${(after.heap - before.heap) / MIB} MiB`)
    assert.ok(after.all - before.all < 64 * MIB, `the process grew by ${(after.all - before.all) / MIB} MiB`)
    assert.ok(after.handles <= before.handles, `${before.handles} handles became ${after.handles}`)
  })
})
