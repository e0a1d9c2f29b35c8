import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { Identity, SessionId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import type { LeaseRequest, LeaseSource, Revocation } from '../grants/lease.ts'
import { trackLeases, type TrackedLeases } from './track-leases.ts'

const identity: Identity = { kind: 'Agent', provider: 'local', subject: 'bot', groups: [], expiresAt: Infinity }
const request = (session: SessionId): LeaseRequest => ({
  session,
  identity,
  target: 'orders',
  expiresAt: Infinity,
  hidden: [],
})

describe('a source of leases that is watched', () => {
  let leases: TrackedLeases<string>
  let leased: Set<SessionId>
  let warnings: string[]
  let settled: number
  let revocation: Revocation
  let swept: readonly Revocation[]
  let taking: Promise<void>

  beforeEach(() => {
    leased = new Set()
    warnings = []
    settled = 0
    revocation = { verified: true }
    swept = []
    taking = Promise.resolve()
    const source: LeaseSource<string> = {
      take: async () => {
        await taking
        return { name: 'sp_1', credential: 'c', revoke: async () => revocation }
      },
      sweep: async () => swept.map((each, index) => ({ name: `sp_${index}`, revocation: each })),
      check: async () => [],
      [Symbol.asyncDispose]: async () => undefined,
    }
    const warn = (line: string): void => void warnings.push(line)
    leases = trackLeases(source, { target: 'orders', leased, warn, settled: () => (settled += 1) })
  })

  it('is settled until a lease is asked for, and again when the last one is seen gone', async () => {
    assert.ok(leases.isSettled())
    const coming = leases.take(request('ses_1'))
    assert.ok(!leases.isSettled())
    assert.deepEqual([...leased], ['ses_1'])
    const [one, other] = [await coming, await leases.take(request('ses_2'))]
    await one.revoke()
    assert.deepEqual([leases.isSettled(), settled, [...leased]], [false, 0, ['ses_2']])
    await other.revoke()
    assert.deepEqual([leases.isSettled(), settled, [...leased]], [true, 1, []])
  })

  it('owes a lease that was not seen gone until a sweep found nothing more', async () => {
    const lease = await leases.take(request('ses_1'))
    revocation = { verified: false, error: 'no answer' }
    assert.deepEqual(await lease.revoke(), revocation)
    assert.match(warnings[0]!, /^target orders: sp_1 could not be revoked yet, .*: no answer$/)
    assert.deepEqual([leases.isSettled(), [...leased]], [false, []])
    swept = [{ verified: true }, { verified: false }]
    await leases.sweep()
    assert.ok(!leases.isSettled())
    swept = [{ verified: true }]
    await leases.sweep()
    assert.deepEqual([leases.isSettled(), settled], [true, 1])
  })

  it('owes what may have been made when it could not say so', async () => {
    taking = Promise.reject(new Fault('lease', 'No role could be made.'))
    await assert.rejects(leases.take(request('ses_1')), { code: 'lease' })
    assert.match(warnings[0]!, /^target orders: no credential could be made: No role could be made$/)
    assert.deepEqual([leases.isSettled(), [...leased]], [false, []])
    await leases.sweep()
    assert.ok(leases.isSettled())
  })

  it('owes nothing when it did not come to making one', async () => {
    taking = Promise.reject(new Fault('target', 'The catalog could not be read.'))
    await assert.rejects(leases.take(request('ses_1')), { code: 'target' })
    assert.deepEqual([leases.isSettled(), settled, [...leased]], [true, 1, []])
  })
})
