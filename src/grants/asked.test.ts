import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { agent, ann, eve, identity, settableClock } from '../approvals/fixtures.ts'
import type { Identity, RefusalCode } from '../gateway/domain.ts'
import { openStore, type Store } from '../store/store.ts'
import { createGrants, type AskedGrant, type GrantRequest, type Grants } from './grants.ts'

const START = 1_000_000
const END = START + 60_000

describe('grants that are asked for', () => {
  let dir = ''
  let store: Store
  let grants: Grants
  const clock = settableClock(START)
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'grants-'))
    clock.set(START)
    store = await openStore(dir, clock)
    grants = createGrants({ store, clock })
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })

  const asked = (more: Partial<GrantRequest> = {}): GrantRequest => ({
    identity: agent,
    target: 'orders',
    purpose: 'fix order 17',
    expiresAt: END,
    ...more,
  })
  const request = async (more: Partial<GrantRequest> = {}): Promise<AskedGrant & { readonly password: string }> => {
    const given = await grants.request(asked(more))
    assert.ok('grant' in given, JSON.stringify(given))
    return { ...given.grant, password: given.password }
  }
  const refusedWith = async (refused: Promise<object>): Promise<RefusalCode | undefined> => {
    const answer = (await refused) as { refusal?: { code: RefusalCode } }
    return answer.refusal?.code
  }

  it('keep who asked, with everybody behind them, and what they were narrowed to', async () => {
    const { password, ...grant } = await request({ operations: ['sql.select', 'session'] })
    assert.deepEqual(await grants.find(grant.id), grant)
    assert.deepEqual(grant.who, agent)
    assert.deepEqual(grant.operations, ['sql.select', 'session'])
    assert.match(password, /^[0-9a-f]{48}$/)
  })

  it('are not given when there is no time left', async () => {
    for (const more of [{ expiresAt: START }, { expiresAt: Number.NaN }, { identity: { ...agent, expiresAt: START } }])
      assert.equal(await refusedWith(grants.request(asked(more))), 'identity')
    assert.deepEqual(await grants.list({}), [])
  })

  it('last no longer than the token', async () => {
    assert.equal((await request({ identity: { ...agent, expiresAt: START + 7 } })).expiresAt, START + 7)
  })

  it('outlive the sessions that come in with them', async () => {
    const { id } = await request()
    await grants.end(id)
    assert.ok('grant' in (await grants.use(id)))
  })

  it('end once, and say why', async () => {
    const { id } = await request()
    clock.set(START + 10)
    const ended = await grants.finish(id, 'revoked by corp/ann')
    assert.deepEqual(ended?.ended, { at: START + 10, reason: 'revoked by corp/ann' })
    clock.set(START + 20)
    assert.equal(await grants.finish(id, 'expired'), undefined)
    assert.deepEqual((await grants.find(id))?.ended, { at: START + 10, reason: 'revoked by corp/ann' })
    assert.equal(await refusedWith(grants.use(id)), 'grant')
  })

  it('cannot be used from the moment they expire', async () => {
    const { id } = await request()
    clock.set(END - 1)
    assert.ok('grant' in (await grants.use(id)))
    assert.deepEqual(await grants.overdue(), [])
    clock.set(END)
    assert.equal(await refusedWith(grants.use(id)), 'grant')
    assert.deepEqual(
      (await grants.overdue()).map((grant) => grant.id),
      [id],
    )
  })

  it('are neither given nor used while the clock is back, also after a restart', async () => {
    const { id } = await request()
    await store[Symbol.asyncDispose]()
    clock.set(START - 2_001)
    store = await openStore(dir, clock)
    grants = createGrants({ store, clock })
    assert.equal(await refusedWith(grants.request(asked())), 'unavailable')
    assert.equal(await refusedWith(grants.use(id)), 'unavailable')
    clock.set(START - 2_000)
    assert.ok('grant' in (await grants.use(id)))
  })

  it('are a hundred of one identity at most, of those that have not ended', async () => {
    const given = await Promise.all(Array.from({ length: 100 }, () => request()))
    assert.equal(await refusedWith(grants.request(asked())), 'budget')
    assert.ok('grant' in (await grants.open(asked())), 'those made on connect are not counted')
    await request({ identity: { ...agent, onBehalfOf: eve } })
    await grants.finish(given[0]!.id, 'revoked')
    await request()
    assert.equal(await refusedWith(grants.request(asked())), 'budget')
    clock.set(END)
    await request({ expiresAt: END + 1 })
  })

  it('are listed for who asked and for the person it was asked for, and for nobody like them', async () => {
    const own = await request()
    const other: Identity = identity({ kind: 'Agent', subject: 'a%' })
    const others = await request({ identity: other })
    const listed = async (of: Identity): Promise<readonly string[]> => (await grants.list({ of })).map(({ id }) => id)
    assert.deepEqual(await listed(agent), [own.id])
    assert.deepEqual(await listed(ann), [own.id])
    assert.deepEqual(await listed(other), [others.id])
    const { onBehalfOf: _, ...alone } = agent
    for (const stranger of [
      eve,
      alone,
      { ...agent, onBehalfOf: eve },
      { ...ann, subject: 'ANN' },
      { ...ann, kind: 'Agent' as const },
      identity({ subject: '%' }),
      identity({ kind: 'Agent', subject: 'ab' }),
      identity({ subject: 'x","corp","ann' }),
    ])
      assert.deepEqual(await listed(stranger), [], JSON.stringify(stranger))
    assert.equal((await grants.list({})).length, 2)
    await grants.finish(own.id, 'revoked')
    assert.deepEqual(await grants.list({ of: agent, live: true }), [])
    await grants.open(asked())
    assert.equal((await grants.list({})).length, 2)
  })

  it('are known by their password, and by no other', async () => {
    const { id, password } = await request()
    const second = await request()
    assert.equal((await grants.withPassword(id, password))?.id, id)
    for (const [user, wrong] of [
      [id, ''],
      [id, `${password}0`],
      [id, password.toUpperCase()],
      [id, second.password],
      ['grt_0190f6a2-0000-7000-8000-000000000000', password],
      ['', ''],
    ] as const)
      assert.equal(await grants.withPassword(user, wrong), undefined)
    const made = await grants.open(asked())
    assert.ok('grant' in made)
    assert.equal(await grants.withPassword(made.grant.id, ''), undefined)
  })

  it('have a verifier of which nobody can tell whether there is such a grant', async () => {
    const { id } = await request()
    const before = await grants.verifier(id)
    await grants.finish(id, 'revoked')
    assert.deepEqual(await grants.verifier(id), before)
    const none = await grants.verifier('grt_none')
    const restarted = createGrants({ store, clock })
    assert.deepEqual(await restarted.verifier('grt_none'), none)
    assert.notDeepEqual(none.salt, (await grants.verifier('grt_other')).salt)
    assert.deepEqual(
      [none.iterations, none.salt.length, none.storedKey.length, none.serverKey.length],
      [before.iterations, before.salt.length, before.storedKey.length, before.serverKey.length],
    )
  })

  it('are kept without their password', async () => {
    const { password } = await request()
    await store[Symbol.asyncDispose]()
    for (const file of readdirSync(dir)) assert.ok(!readFileSync(join(dir, file)).includes(password), file)
    store = await openStore(dir, clock)
  })
})
