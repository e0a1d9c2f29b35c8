import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Scene } from '../scene.ts'
import { runClient, startOpenScene, waysTo, without, type Run, type Way } from './both-ways.ts'

const DRIVER = '/usr/share/java/postgresql.jar'
const PROGRAM = join(import.meta.dirname, 'Jdbc.java')

describe('pgJDBC', { skip: without('pgJDBC (Debian: libpostgresql-jdbc-java, default-jdk-headless)', DRIVER) }, () => {
  let scene: Scene
  let ways: { readonly direct: Way; readonly through: Way }
  before(async () => {
    scene = await startOpenScene()
    ways = await waysTo(scene)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const jdbc = (way: Way, ...args: readonly string[]): Promise<Run> =>
    runClient('java', ['-XX:TieredStopAtLevel=1', '-cp', DRIVER, PROGRAM, ...args], way)

  it('does over TLS what it does directly: prepared, batched, binary, cursors, COPY, NOTIFY, cancel', async () => {
    const direct = await jdbc(ways.direct, 'everyday')
    const through = await jdbc(ways.through, 'everyday', 'require')
    assert.match(direct.output, /^cancelled: 57014$/m)
    assert.equal(direct.code, 0, direct.output)
    assert.equal(through.output, direct.output)
    assert.equal(through.code, 0)
  })

  it('uses large objects, by FunctionCall', async () => {
    assert.match((await jdbc(ways.direct, 'lo')).output, /^large object: 9 \| some text$/m)
    assert.equal((await jdbc(ways.through, 'lo')).output, (await jdbc(ways.direct, 'lo')).output)
  })
})
