import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { ApprovalId } from '../gateway/domain.ts'
import { openStore, type Store } from '../store/store.ts'
import type { Approval, Approvals, Vote, VoteResult } from './approvals.ts'
import { approvalUrl } from './approvals.ts'
import { createApprovals } from './create-approvals.ts'
import { agent, ann, bob, eve, hold, identity, request, settableClock } from './fixtures.ts'

const START = 1_000_000
const never = new AbortController().signal
const carl = identity({ subject: 'carl', groups: ['dba'] })

const approved = (result: VoteResult): Approval => {
  assert.ok('approval' in result, JSON.stringify(result))
  return result.approval
}
const statusOf = (result: VoteResult): number => ('status' in result ? result.status : 200)

describe('approvals', () => {
  let dir = ''
  let store: Store
  let clock = settableClock(START)
  let seen: (readonly [ApprovalId, Vote])[] = []
  let approvals: Approvals
  const gateway = (over: Store): Approvals =>
    createApprovals({
      store: over,
      clock,
      url: 'https://gw.example.com/',
      onVote: (approval, vote) => void seen.push([approval.id, vote]),
    })

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'approvals-'))
    clock = settableClock(START)
    store = await openStore(dir, clock)
    seen = []
    approvals = gateway(store)
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })

  it('keeps a request whole, and gives it the wait and the ticket to be answered in', async () => {
    const made = await approvals.request(request())
    assert.match(made.id, /^apr_/)
    const expected = {
      ...request(),
      id: made.id,
      state: 'pending',
      createdAt: START,
      expiresAt: START + 945_000,
      votes: [],
    }
    assert.deepEqual(await approvals.find(made.id), expected)
    assert.deepEqual(made, expected)
  })

  it('keeps hostile text as it came', async () => {
    const text = '\'; drop table approvals; -- \u202e\u0000\u001b[31m {"__proto__":1}'
    const made = await approvals.request(request({ text, parameters: [text, null], touches: [text] }))
    assert.equal(made.text, text)
    assert.deepEqual(made.parameters, [text, null])
  })

  it('uses the open request again for the same identity, target and digest only', async () => {
    const first = await approvals.request(request())
    assert.equal((await approvals.request(request({ operation: 'op_2' }))).id, first.id)
    const others = [
      request({ digest: 'd2' }),
      request({ target: 'billing' }),
      request({ requester: { ...agent, subject: 'other' } }),
      request({ requester: { ...agent, onBehalfOf: eve } }),
      request({ requester: { ...agent, kind: 'Workload' } }),
    ]
    const ids = new Set([first.id])
    for (const other of others) ids.add((await approvals.request(other)).id)
    assert.equal(ids.size, others.length + 1)
  })

  it('makes one request of twenty at once', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => approvals.request(request())))
    assert.equal(new Set(made.map((approval) => approval.id)).size, 1)
  })

  it('returns an approved one until its ticket runs out, and a new one after that', async () => {
    const { id } = await approvals.request(request())
    clock.set(START + 10)
    assert.equal(approved(await approvals.vote(id, bob, 'approve')).expiresAt, START + 10 + 900_000)
    const again = await approvals.request(request())
    assert.deepEqual([again.id, again.state], [id, 'approved'])
    clock.set(START + 10 + 900_000)
    assert.equal((await approvals.find(id))?.state, 'expired')
    const next = await approvals.request(request())
    assert.deepEqual([next.id === id, next.state], [false, 'pending'])
  })

  it('never returns a spent, rejected, withdrawn or expired one', async () => {
    const ids = new Set<ApprovalId>()
    const spent = await approvals.request(request())
    await approvals.vote(spent.id, bob, 'approve')
    assert.equal(await approvals.spend(spent.id, 'op_9'), true)
    const rejected = await approvals.request(request())
    await approvals.vote(rejected.id, bob, 'reject')
    const withdrawn = await approvals.request(request())
    await approvals.withdraw(withdrawn.id)
    const expired = await approvals.request(request())
    clock.set(START + 945_000)
    const last = await approvals.request(request())
    for (const approval of [spent, rejected, withdrawn, expired, last]) ids.add(approval.id)
    assert.equal(ids.size, 5)
    const states = await Promise.all([...ids].map(async (id) => (await approvals.find(id))?.state))
    assert.deepEqual(states, ['spent', 'rejected', 'withdrawn', 'expired', 'pending'])
  })

  it('does not let an answer to a weaker hold stand for a stricter one', async () => {
    const weak = await approvals.request(request())
    await approvals.vote(weak.id, bob, 'approve')
    const strict = await approvals.request(request({ hold: hold({ groups: ['dba', 'security'], quorum: 2 }) }))
    assert.deepEqual([strict.id === weak.id, strict.state], [false, 'pending'])
    assert.equal(await approvals.spend(weak.id, 'op_1'), false)
  })

  it('is spent exactly once by fifty at once', async () => {
    const { id } = await approvals.request(request())
    await approvals.vote(id, bob, 'approve')
    const spent = await Promise.all(Array.from({ length: 50 }, (_, i) => approvals.spend(id, `op_${i}`)))
    assert.equal(spent.filter(Boolean).length, 1)
    assert.equal((await approvals.find(id))?.state, 'spent')
  })

  it('is spent exactly once by two gateways on one store', async () => {
    await using other = await openStore(dir, clock)
    const { id } = await approvals.request(request())
    await approvals.vote(id, bob, 'approve')
    const gateways = [approvals, gateway(other)]
    const spent = await Promise.all(Array.from({ length: 20 }, (_, i) => gateways[i % 2]!.spend(id, `op_${i}`)))
    assert.equal(spent.filter(Boolean).length, 1)
  })

  it('cannot be spent while pending, after its ticket, or when there is none', async () => {
    const { id } = await approvals.request(request())
    assert.equal(await approvals.spend(id, 'op_1'), false)
    await approvals.vote(id, bob, 'approve')
    clock.set(START + 900_000)
    assert.equal(await approvals.spend(id, 'op_1'), false)
    assert.equal(await approvals.spend('apr_none', 'op_1'), false)
  })

  it('tells the record of every vote that counts, and of no other', async () => {
    const { id } = await approvals.request(request())
    await approvals.vote(id, ann, 'approve')
    await approvals.vote(id, agent, 'approve')
    await approvals.vote(id, bob, 'approve', 'looks right')
    assert.deepEqual(seen, [[id, { by: 'corp/bob', vote: 'approve', reason: 'looks right', at: START }]])
  })

  it('counts a quorum over several votes', async () => {
    const { id } = await approvals.request(request({ hold: hold({ quorum: 2 }) }))
    assert.equal(approved(await approvals.vote(id, bob, 'approve')).state, 'pending')
    assert.equal(statusOf(await approvals.vote(id, { ...bob, provider: 'x', subject: 'y' }, 'approve')), 409)
    const after = approved(await approvals.vote(id, carl, 'approve'))
    assert.deepEqual([after.state, after.votes.map((vote) => vote.by)], ['approved', ['corp/bob', 'corp/carl']])
  })

  it('counts votes given at the same time on two gateways', async () => {
    await using other = await openStore(dir, clock)
    const { id } = await approvals.request(request({ hold: hold({ quorum: 2 }) }))
    await Promise.all([approvals.vote(id, bob, 'approve'), gateway(other).vote(id, carl, 'approve')])
    assert.equal((await approvals.find(id))?.state, 'approved')
  })

  it('counts one of ten votes of the same human at the same time', async () => {
    const { id } = await approvals.request(request({ hold: hold({ quorum: 2 }) }))
    const accounts = Array.from({ length: 10 }, (_, i) => ({ ...bob, subject: `bob${i}` }))
    const results = await Promise.all(accounts.map((account) => approvals.vote(id, account, 'approve')))
    assert.equal(results.filter((result) => 'approval' in result).length, 1)
    assert.equal((await approvals.find(id))?.state, 'pending')
  })

  it('refuses to vote on what does not exist, is settled, or expired', async () => {
    assert.equal(statusOf(await approvals.vote('apr_none', bob, 'approve')), 404)
    const { id } = await approvals.request(request())
    await approvals.vote(id, bob, 'reject')
    assert.equal(statusOf(await approvals.vote(id, carl, 'approve')), 409)
    const late = await approvals.request(request())
    clock.set(START + 945_000)
    const result = await approvals.vote(late.id, bob, 'approve')
    assert.ok('refusal' in result)
    assert.deepEqual([result.status, result.refusal.code], [409, 'approval_expired'])
    assert.equal(result.refusal.approval?.url, approvalUrl('https://gw.example.com', late.id))
  })

  it('wakes those who wait at once when the vote is given here', async () => {
    const unpolled = { ...clock, sleep: (_: number, signal?: AbortSignal) => clock.sleep(86_400_000, signal) }
    const here = createApprovals({ store, clock: unpolled, url: 'https://gw.example.com' })
    const { id } = await here.request(request())
    const waiting = here.settled(id, 600_000, never)
    await here.vote(id, bob, 'approve')
    assert.equal((await waiting).state, 'approved')
  })

  it('notices a vote that was given on another gateway', async () => {
    await using other = await openStore(dir, clock)
    const { id } = await approvals.request(request())
    const waiting = approvals.settled(id, 600_000, never)
    await gateway(other).vote(id, bob, 'reject')
    assert.equal((await waiting).state, 'rejected')
  })

  it('stops waiting when the time is over, when told to, and when withdrawn', async () => {
    const { id } = await approvals.request(request())
    assert.equal((await approvals.settled(id, 1, never)).state, 'pending')
    assert.equal((await approvals.settled(id, 0, never)).state, 'pending')
    const stop = new AbortController()
    const waiting = approvals.settled(id, 600_000, stop.signal)
    stop.abort()
    assert.equal((await waiting).state, 'pending')
    const withdrawn = approvals.settled(id, 600_000, never)
    await approvals.withdraw(id)
    assert.equal((await withdrawn).state, 'withdrawn')
  })

  it('withdraws nothing that was approved', async () => {
    const { id } = await approvals.request(request())
    await approvals.vote(id, bob, 'approve')
    await approvals.withdraw(id)
    assert.equal((await approvals.find(id))?.state, 'approved')
  })

  it('lists the newest first, by the state they are in now', async () => {
    const first = await approvals.request(request({ digest: 'a' }))
    clock.set(START + 900_000)
    const second = await approvals.request(request({ digest: 'b' }))
    await approvals.vote(second.id, bob, 'approve')
    clock.set(START + 945_000)
    const ids = async (state?: Approval['state']): Promise<string[]> =>
      (await approvals.list(state)).map((approval) => approval.id)
    assert.deepEqual(await ids(), [second.id, first.id])
    assert.deepEqual(await ids('pending'), [])
    assert.deepEqual(await ids('expired'), [first.id])
    assert.deepEqual(await ids('approved'), [second.id])
    assert.equal((await approvals.list('approved'))[0]?.votes.length, 1)
  })

  it('outlives the gateway', async () => {
    const { id } = await approvals.request(request())
    await store[Symbol.asyncDispose]()
    store = await openStore(dir, clock)
    approvals = gateway(store)
    assert.equal(approved(await approvals.vote(id, bob, 'approve')).state, 'approved')
  })

  it('fails, and does not approve, when the store is gone', async () => {
    const { id } = await approvals.request(request())
    await store[Symbol.asyncDispose]()
    await assert.rejects(approvals.vote(id, bob, 'approve'), { code: 'store' })
    await assert.rejects(approvals.spend(id, 'op_1'), { code: 'store' })
    await assert.rejects(approvals.settled(id, 1_000, never), { code: 'store' })
    store = await openStore(dir, clock)
    assert.equal((await gateway(store).find(id))?.state, 'pending')
  })
})
