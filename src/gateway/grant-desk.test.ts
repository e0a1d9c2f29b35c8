import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { agent, settableClock } from '../approvals/fixtures.ts'
import { createGrants, type AskedGrant, type Grants } from '../grants/grants.ts'
import type { LeaseSource } from '../grants/lease.ts'
import type { ConnectDecision, Policy } from '../policy/policy.ts'
import type { Entry } from '../record/entry.ts'
import { openStore, type Store } from '../store/store.ts'
import type { Refusal, Resource } from './domain.ts'
import { Fault } from './fault.ts'
import { openSession, type Core, type OpenRequest } from './gateway.ts'
import { openGrantDesk, type GrantDesk } from './grant-desk.ts'
import type { Target } from './protocol.ts'
import { refuse } from './refusals.ts'

const START = 1_000_000
const MINUTE = 60_000
const orders: Resource = { type: 'Target', id: 'orders' }
const wish = { target: 'orders', purpose: 'fix order 17' }

function targetOf(name: string, take: LeaseSource<string>['take']): Target<string> {
  const nothing = { [Symbol.asyncDispose]: async () => undefined }
  const leases = { take, sweep: async () => [], check: async () => [], ...nothing }
  return { name, resource: orders, leases, classes: [], detect: [], ...nothing }
}

function asking(grant: AskedGrant, target: Target<string>): OpenRequest<Target<string>> {
  return { identity: agent, grant, target, protocol: 'test', client: '127.0.0.1:1' }
}

describe('the desk of grants', () => {
  let dir = ''
  let store: Store
  let grants: Grants
  let core: Core
  let desk: GrantDesk
  let entries: Entry[] = []
  let recordable = true
  let connect: ConnectDecision
  const clock = settableClock(START)

  const open = (): Promise<GrantDesk> =>
    openGrantDesk({ core, warn: () => undefined, resourceOf: (name) => (name === 'orders' ? orders : undefined) })
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'desk-'))
    clock.set(START)
    store = await openStore(dir, clock)
    grants = createGrants({ store, clock })
    entries = []
    recordable = true
    connect = { verdict: 'allow', rules: ['agents-connect'], policy: 'p', leaseMs: 15 * MINUTE }
    const possibleActions = () => new Set(['sql.select', 'sql.insert'])
    const policy = { connect: () => connect, possibleActions, unmasked: () => [] }
    core = {
      clock,
      grants,
      policy: () => policy as unknown as Policy,
      recorder: {
        append: async (entry: Entry) => {
          if (!recordable) throw new Fault('unrecordable', 'no room')
          entries.push(entry)
          return { seq: entries.length }
        },
        checkpoint: async () => undefined,
      },
      live: new Map(),
    } as unknown as Core
    desk = await open()
  })
  afterEach(async () => {
    await desk[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })

  const given = async (more: object = {}): Promise<AskedGrant> => {
    const answer = await desk.request(agent, { ...wish, ...more })
    assert.ok('grant' in answer, JSON.stringify(answer))
    return answer.grant
  }
  const refused = async (more: object = {}): Promise<Refusal> => {
    const answer = await desk.request(agent, { ...wish, ...more })
    assert.ok('refusal' in answer)
    return answer.refusal
  }

  it('gives what was asked for, but no more than the lease and the token let', async () => {
    assert.equal((await given()).expiresAt, START + 15 * MINUTE)
    assert.equal((await given({ forMs: MINUTE })).expiresAt, START + MINUTE)
    assert.equal((await given({ forMs: 60 * MINUTE })).expiresAt, START + 15 * MINUTE)
    const short = await desk.request({ ...agent, expiresAt: START + 5 }, wish)
    assert.equal('grant' in short && short.grant.expiresAt, START + 5)
  })

  it('gives nothing that policy denies, and records that', async () => {
    connect = { verdict: 'deny', rules: [], policy: 'p', refusal: refuse('denied', 'Not here.') }
    assert.equal((await refused()).message, 'Not here.')
    assert.deepEqual(
      entries.map((entry) => [entry.type, 'purpose' in entry && entry.purpose]),
      [['grant.refused', 'fix order 17']],
    )
    assert.deepEqual(await grants.list({}), [])
  })

  it('gives nothing for a target that there is not, nor for operations that there are not', async () => {
    assert.equal(
      (await refused({ target: 'other' })).message,
      'No rule permits connect on Target other for Agent corp/bot.',
    )
    const { code, message } = await refused({ operations: ['read', 'sql.selct'] })
    assert.deepEqual([code, message], ['unreadable', 'There is no operation sql.selct.'])
    assert.deepEqual(await grants.list({}), [])
  })

  it('gives nothing that cannot be recorded', async () => {
    recordable = false
    assert.equal((await refused()).code, 'unrecordable')
    assert.deepEqual(await grants.list({ live: true }), [])
    assert.equal((await refused({ target: 'other' })).code, 'unrecordable')
  })

  it('ends what was held while there was no gateway, and what expired', async () => {
    const [kept, held, late] = [await given(), await given(), await given({ forMs: MINUTE })]
    await desk[Symbol.asyncDispose]()
    await grants.hold(held.id)
    clock.set(START + MINUTE)
    entries = []
    desk = await open()
    const reasons = entries.flatMap((entry) =>
      entry.type === 'grant.ended' ? [[entry.grant, entry.reason] as const] : [],
    )
    assert.equal(reasons.length, 2)
    assert.deepEqual(Object.fromEntries(reasons), { [held.id]: 'the gateway stopped', [late.id]: 'expired' })
    assert.equal((await grants.find(kept.id))?.ended, undefined)
  })

  it('tells who holds a grant that ended just before', async () => {
    const { id } = await given()
    await grants.finish(id, 'revoked by corp/ann')
    assert.equal(await (await desk.hold(id))?.ended, 'revoked by corp/ann')
  })

  it('lets a grant be held again when the store failed to note it', async () => {
    const { id } = await given()
    const failing: Grants = {
      ...grants,
      hold: () => Promise.reject(new Fault('store', 'the disk is full')),
    }
    const other = await openGrantDesk({
      core: { ...core, grants: failing },
      warn: () => undefined,
      resourceOf: () => orders,
    })
    await assert.rejects(other.hold(id), { code: 'store' })
    failing.hold = (which) => grants.hold(which)
    assert.ok(await other.hold(id))
    assert.equal(await other.hold(id), undefined)
    await other[Symbol.asyncDispose]()
    assert.equal((await grants.find(id))?.ended?.reason, 'the gateway stopped')
  })

  it('lets no session in whose grant ends while it is being opened', async () => {
    const grant = await given()
    const revoked: string[] = []
    const request = asking(
      grant,
      targetOf('orders', async () => {
        await desk.end(grant.id, 'revoked by corp/ann')
        return { name: 'sp_1', credential: '', revoke: async () => (revoked.push('sp_1'), { verified: true }) }
      }),
    )
    const opened = await openSession(core, request)
    assert.ok('session' in opened)
    assert.equal((opened.session.stopped.reason as Refusal).code, 'grant')
    await opened.session[Symbol.asyncDispose]()
    assert.deepEqual(revoked, ['sp_1'])
    const after = await openSession(core, request)
    assert.equal('refusal' in after && after.refusal.code, 'grant')
  })

  it('opens no session of a grant at another target, and narrows the lease to the operations', async () => {
    const grant = await given({ operations: ['read'] })
    const asked: unknown[] = []
    const at = (name: string): OpenRequest<Target<string>> =>
      asking(
        grant,
        targetOf(name, async ({ possible }) => {
          asked.push(possible)
          return { name: 'sp_1', credential: '', revoke: async () => ({ verified: true }) }
        }),
      )
    const other = await openSession(core, at('other'))
    assert.equal('refusal' in other && other.refusal.code, 'grant')
    const opened = await openSession(core, at('orders'))
    assert.ok('session' in opened)
    await opened.session[Symbol.asyncDispose]()
    assert.deepEqual(asked, [['sql.select']])
    assert.equal((await grants.find(grant.id))?.ended, undefined)
  })
})
