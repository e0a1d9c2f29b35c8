import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { systemClock } from '../gateway/clock.ts'
import type { SessionId } from '../gateway/domain.ts'
import type { Entry, InSession, OperationDecided } from '../record/entry.ts'
import { replicasSeen, startReplica } from './replicas.ts'
import { sessionsIndex } from './sessions-index.ts'
import { openStore, type Store } from './store.ts'

const inSession = (session: SessionId, more: Partial<InSession> = {}): InSession => ({
  session,
  target: 'orders',
  identity: 'corp/bot',
  ...more,
})

const opened = (session: SessionId, more: Partial<InSession> = {}): Entry => ({
  ...inSession(session, more),
  type: 'session.opened',
  who: { kind: 'Agent', id: 'corp/bot', groups: [], person: 'ann@example.com' },
  protocol: 'postgres',
  client: '127.0.0.1:5000',
  grant: 'grt_1',
  expires_at: '2026-01-01T00:00:00.000Z',
  lease: 'sp_role',
  rules: [],
  policy: 'hash',
})

const decided = (session: SessionId, decision: OperationDecided['decision']): Entry => ({
  ...inSession(session),
  type: 'operation',
  operation: 'op_1',
  stage: 'execute',
  text: 'select 1',
  digest: 'd',
  touches: [],
  effect: 'none',
  decision,
  rules: [],
  policy: 'hash',
})

const closed = (session: SessionId): Entry => ({ ...inSession(session), type: 'session.closed', reason: 'client left' })

describe('the index of sessions', () => {
  let dir = ''
  let store: Store
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sessions-'))
    store = await openStore(dir)
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })

  it('shows a session from its opening to its closing', async () => {
    const index = sessionsIndex(store, 'r1')
    await index.note(opened('ses_1'), 1, 100)
    assert.deepEqual(await index.list(), [
      {
        id: 'ses_1',
        target: 'orders',
        protocol: 'postgres',
        identity: 'corp/bot',
        kind: 'Agent',
        person: 'ann@example.com',
        grant: 'grt_1',
        lease: 'sp_role',
        client: '127.0.0.1:5000',
        openedAt: 100,
        firstSeq: 1,
        lastSeq: 1,
        operations: 0,
      },
    ])
    await index.note(decided('ses_1', 'allow'), 2, 110)
    await index.note(closed('ses_1'), 3, 120)
    const [session] = await index.list()
    assert.equal(session?.operations, 1)
    assert.equal(session?.lastSeq, 3)
    assert.equal(session?.closedAt, 120)
    assert.equal(session?.closeReason, 'client left')
  })

  it('counts a held operation once, and a preparation not at all', async () => {
    const index = sessionsIndex(store, 'r1')
    await index.note(opened('ses_1'), 1, 100)
    await index.note({ ...decided('ses_1', 'allow'), stage: 'prepare' } as Entry, 2, 101)
    await index.note(decided('ses_1', 'hold'), 3, 102)
    await index.note(decided('ses_1', 'deny'), 4, 103)
    assert.equal((await index.list())[0]?.operations, 1)
  })

  it('lists the newest first, filtered and limited', async () => {
    const index = sessionsIndex(store, 'r1')
    await index.note(opened('ses_1'), 1, 100)
    await index.note(opened('ses_2', { target: 'billing' }), 2, 200)
    await index.note(opened('ses_3', { identity: 'corp/other' }), 3, 300)
    await index.note(closed('ses_2'), 4, 400)
    const ids = async (filter: Parameters<typeof index.list>[0]): Promise<string[]> =>
      (await index.list(filter)).map((session) => session.id)
    assert.deepEqual(await ids({}), ['ses_3', 'ses_2', 'ses_1'])
    assert.deepEqual(await ids({ limit: 1 }), ['ses_3'])
    assert.deepEqual(await ids({ live: true }), ['ses_3', 'ses_1'])
    assert.deepEqual(await ids({ live: false }), ['ses_2'])
    assert.deepEqual(await ids({ target: 'billing' }), ['ses_2'])
    assert.deepEqual(await ids({ identity: "corp/bot' or '1'='1" }), [])
    assert.deepEqual(await ids({ identity: 'corp/other' }), ['ses_3'])
  })

  it('does not touch the store for what only progresses', async () => {
    const index = sessionsIndex(store, 'r1')
    await index.note(opened('ses_1'), 1, 100)
    await store[Symbol.asyncDispose]()
    await index.note(decided('ses_1', 'allow'), 2, 101)
    store = await openStore(dir)
  })

  it('closes the sessions that a dead gateway left open', async () => {
    await sessionsIndex(store, 'dead').note(opened('ses_1'), 1, 100)
    const index = sessionsIndex(store, 'alive')
    await index.note(opened('ses_2'), 2, 200)
    assert.equal(await index.closeOrphans(['alive'], 300), 1)
    assert.deepEqual(
      (await index.list({ live: true })).map((session) => session.id),
      ['ses_2'],
    )
    assert.equal((await index.list({ live: false }))[0]?.closeReason, 'the gateway stopped')
  })

  it('knows a replica as alive from its start until it is disposed', async () => {
    const replica = await startReplica(store, { ...systemClock, now: () => 1_000 })
    assert.deepEqual(await replicasSeen(store, 1_000), [replica.id])
    assert.deepEqual(await replicasSeen(store, 1_001), [])
    await replica[Symbol.asyncDispose]()
    assert.deepEqual(await replicasSeen(store, 0), [])
  })
})
