import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Scene } from '../scene.ts'
import { runClient, startOpenScene, waysTo, type Run, type Way } from './both-ways.ts'
import { POSTGRES18 } from './programs.ts'

/** What psql 18 can say of the protocol (its manual, "Meta-Commands"): statements by name, and pipelines. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'statements by name': `
    SELECT name FROM customers WHERE id = $1 \\parse by_id
    \\bind_named by_id 1 \\g
    \\bind_named by_id x \\g
    \\close_prepared by_id
    \\bind_named by_id 2 \\g
    SELECT $1 || $2 \\bind a b \\g`,
  'a pipeline': `
    \\startpipeline
    SELECT $1::int + 1 \\bind 1 \\sendpipeline
    SELECT count(*) FROM orders \\bind \\sendpipeline
    \\flushrequest
    \\getresults 1
    INSERT INTO orders VALUES (500, 1, 1) RETURNING id \\bind \\sendpipeline
    SELECT :PIPELINE_COMMAND_COUNT, :PIPELINE_RESULT_COUNT;
    \\endpipeline
    SELECT id FROM orders WHERE id = 500;`,
  'an error in a pipeline, and what comes behind its Sync': `
    \\startpipeline
    INSERT INTO orders VALUES (501, 1, 1) \\bind \\sendpipeline
    SELECT 1 / $1::int \\bind 0 \\sendpipeline
    SELECT 'skipped' \\bind \\sendpipeline
    \\syncpipeline
    SELECT 'again' \\bind \\sendpipeline
    \\endpipeline
    SELECT count(*) FROM orders WHERE id = 501;`,
  'a transaction in a pipeline': `
    \\startpipeline
    BEGIN \\bind \\sendpipeline
    UPDATE orders SET total = total + $1 WHERE id = 1 RETURNING total \\bind 5 \\sendpipeline
    \\syncpipeline
    ROLLBACK \\bind \\sendpipeline
    \\endpipeline
    \\watch c=2 i=0.01
    \\echo :SERVICE :LAST_ERROR_SQLSTATE`,
  'what is there': `
    \\d
    \\d+ customers
    \\dRp
    \\dx
    \\df
    \\sf pg_catalog.now
    \\l orders
    \\dconfig application_name`,
}

describe('psql 18', { skip: POSTGRES18.missing('psql') }, () => {
  let scene: Scene
  let ways: { readonly direct: Way; readonly through: Way }
  before(async () => {
    scene = await startOpenScene()
    ways = await waysTo(scene)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  /** Each way begins with the same rows. */
  const run = async (way: Way, script: string): Promise<Run> => {
    await scene.truth('DELETE FROM orders WHERE id >= 500')
    const args = ['-X', '-v', 'VERBOSITY=verbose', '-f', '-']
    return runClient(POSTGRES18.path('psql'), args, way, script.replaceAll(/^ +/gm, ''))
  }

  for (const [what, script] of Object.entries(SCRIPTS)) {
    it(`prints the same of ${what} as directly`, async () => {
      const direct = await run(ways.direct, script)
      assert.equal(direct.code, 0, direct.output)
      assert.deepEqual(await run(ways.through, script), direct)
    })
  }
})
