import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Scene } from '../scene.ts'
import { runClient, startOpenScene, waysTo, without, type Way } from './both-ways.ts'

const PGBENCH = '/usr/bin/pgbench'

describe('pgbench', { skip: without('pgbench', PGBENCH) }, () => {
  let scene: Scene
  let way: Way
  before(async () => {
    scene = await startOpenScene()
    way = (await waysTo(scene)).through
    const { code, output } = await runClient(PGBENCH, ['-i', '-I', 'dtGvp', '-q'], way)
    assert.equal(code, 0, output)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  for (const mode of ['simple', 'extended', 'prepared']) {
    it(`runs its transactions with -M ${mode}`, async () => {
      const { code, output } = await runClient(PGBENCH, ['-n', '-M', mode, '-c', '3', '-t', '20'], way)
      assert.match(output, /transactions actually processed: 60\/60/)
      assert.match(output, /failed transactions: 0 /)
      assert.equal(code, 0)
    })
  }

  it('runs a pipeline of its own', async () => {
    const script = '\\startpipeline\nSELECT 1;\nSELECT 2;\n\\endpipeline\nSELECT 3;\n'
    const args = ['-n', '-M', 'extended', '-t', '5', '-f', '-']
    const { code, output } = await runClient(PGBENCH, args, way, script)
    assert.match(output, /transactions actually processed: 5\/5/)
    assert.equal(code, 0)
  })
})
