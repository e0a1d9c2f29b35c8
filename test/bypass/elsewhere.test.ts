import { after, afterEach, before, describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { show } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertNothingSecret, codes, intrude, startRange, take } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())
afterEach(() => scene.truth('DROP VIEW IF EXISTS late_view, late_vault'))

/** Made by somebody else at the target, where the gateway does not see it: masked or, unless said, refused. */
const made: readonly (readonly [change: string, read: string, masks?: 'masked'])[] = [
  ['CREATE VIEW late_view AS SELECT id, secret AS x FROM people', "SELECT x || '' FROM late_view", 'masked'],
  ['CREATE VIEW late_view AS SELECT id, secret AS x FROM people', "SELECT id FROM late_view WHERE x LIKE 'zqv%'"],
  ['CREATE VIEW late_view AS SELECT secret_of(1) AS x', 'SELECT x FROM late_view', 'masked'],
  ['CREATE VIEW late_vault AS SELECT code FROM vault', 'SELECT code FROM late_vault'],
  ['CREATE VIEW late_vault AS SELECT code FROM vault_view', 'SELECT code FROM public.late_vault'],
  ['CREATE VIEW late_vault AS SELECT code FROM vault', 'SELECT upper(code) FROM late_vault; SELECT 1'],
]

describe('what was made elsewhere a moment ago shows nothing', () => {
  for (const [change, read, masks] of made) {
    it(`${change}; ${read}`, async () => {
      await using client = await intrude(scene)
      await take(client, ['SELECT id FROM decoy'])
      await scene.truth(`${change}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO orders_writer`)
      const answers = await take(client, [read])
      if (!masks) assert.deepEqual(codes(answers), ['42501'], show(answers).join(' | '))
      assertNothingSecret(client)
    })
  }
})
