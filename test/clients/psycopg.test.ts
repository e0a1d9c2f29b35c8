import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Scene } from '../scene.ts'
import { runClient, startOpenScene, waysTo, without, type Run, type Way } from './both-ways.ts'

const PYTHON = '/usr/bin/python3'
const PACKAGES = '/usr/lib/python3/dist-packages'
const PROGRAM = join(import.meta.dirname, 'psycopg_client.py')
const MISSING = without(
  'psycopg (Debian: python3-psycopg, python3-psycopg2)',
  `${PACKAGES}/psycopg`,
  `${PACKAGES}/psycopg2`,
)

describe('psycopg', { skip: MISSING }, () => {
  let scene: Scene
  let ways: { readonly direct: Way; readonly through: Way }
  before(async () => {
    scene = await startOpenScene()
    ways = await waysTo(scene)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const python = (way: Way, program: string): Promise<Run> => runClient(PYTHON, [PROGRAM, program], way)
  const same = async (program: string, end: RegExp): Promise<void> => {
    const direct = await python(ways.direct, program)
    assert.match(direct.output, end)
    assert.deepEqual(await python(ways.through, program), direct)
  }

  it('3 does what it does directly: prepared, binary, COPY, pipelines, cursors, NOTIFY, cancel', () =>
    same('psycopg3', /^alive: \[\(1,\)\]\n$/m))

  it('2 does what it does directly: COPY, named cursors, isolation, NOTIFY, cancel', () =>
    same('psycopg2', /^alive: \[\(1,\)\]\n$/m))

  it('2 uses large objects, by FunctionCall', () => same('lo', /^large object: b?'some text'\n$/))
})
