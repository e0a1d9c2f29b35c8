import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { agent, settableClock } from '../approvals/fixtures.ts'
import { openStore, type Store } from '../store/store.ts'
import { createGrants, type GrantRequest } from './grants.ts'

const START = 1_000_000
const asked = (more: Partial<GrantRequest> = {}): GrantRequest => ({
  identity: agent,
  target: 'orders',
  purpose: 'fix a typo',
  expiresAt: START + 60_000,
  ...more,
})

describe('grants', () => {
  let dir = ''
  let store: Store
  let clock = settableClock(START)
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'grants-'))
    clock = settableClock(START)
    store = await openStore(dir, clock)
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })
  const rows = (): Promise<readonly { ended_at: number | null }[]> =>
    store.query((db) => db.selectFrom('grants').selectAll().execute())

  it('last for the lease or for the token, whichever ends first', async () => {
    const grants = createGrants({ store, clock })
    const endOf = async (more: Partial<GrantRequest>): Promise<number | undefined> => {
      const result = await grants.open(asked(more))
      return 'grant' in result ? result.grant.expiresAt : undefined
    }
    assert.equal(await endOf({}), START + 60_000)
    assert.equal(await endOf({ identity: { ...agent, expiresAt: START + 5 } }), START + 5)
  })

  it('are refused when there is no time left, or the time is no number', async () => {
    const grants = createGrants({ store, clock })
    for (const more of [{ expiresAt: START }, { expiresAt: 0 }, { expiresAt: Number.NaN }]) {
      const result = await grants.open(asked(more))
      assert.ok('refusal' in result, JSON.stringify(more))
      assert.equal(result.refusal.code, 'identity')
    }
    assert.deepEqual(await rows(), [])
  })

  it('end once', async () => {
    const grants = createGrants({ store, clock })
    const result = await grants.open(asked())
    assert.ok('grant' in result)
    assert.match(result.grant.id, /^grt_/)
    clock.set(START + 10)
    await grants.end(result.grant.id)
    clock.set(START + 20)
    await grants.end(result.grant.id)
    assert.deepEqual(
      (await rows()).map((row) => row.ended_at),
      [START + 10],
    )
  })

  it('are refused while the clock is back by more than two seconds, also after a restart', async () => {
    await createGrants({ store, clock }).open(asked())
    await store[Symbol.asyncDispose]()
    clock.set(START - 2_001)
    store = await openStore(dir, clock)
    const grants = createGrants({ store, clock })
    const result = await grants.open(asked())
    assert.equal('refusal' in result && result.refusal.code, 'unavailable')
    clock.set(START - 2_000)
    assert.ok('grant' in (await grants.open(asked())))
  })
})
