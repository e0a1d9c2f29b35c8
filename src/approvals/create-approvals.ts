import type { Clock } from '../gateway/clock.ts'
import type { ApprovalId, OperationId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Store } from '../store/store.ts'
import {
  approvalUrl,
  type Approval,
  type Approvals,
  type ApprovalState,
  type Vote,
  type VoteResult,
} from './approvals.ts'
import { createBell, type Bell } from './bell.ts'
import { openRequest } from './open-requests.ts'
import { toApproval } from './rows.ts'
import { castVote, type Casting } from './vote.ts'
import { objectionToVoter } from './voting.ts'

export type ApprovalsOptions = {
  readonly store: Store
  readonly clock: Clock
  /** How people reach this gateway: `url` of the config. */
  readonly url: string
  /**
   * Called after a vote is in the store and before those who wait for it are woken: records it. What it throws, `vote`
   * throws; the vote stands, and what it permits still needs a record of its own that names the approvers.
   */
  readonly onVote?: (approval: Approval, vote: Vote) => void | Promise<void>
}

/** How often a vote given on another gateway is looked for. */
const POLL_MS = 1_000
/** `list` gives at most this many, the newest first. */
const LIST_LIMIT = 500

export function createApprovals(options: ApprovalsOptions): Approvals {
  const { store, clock } = options
  const bell = createBell()
  return {
    request: async (request) => {
      const id = await store.transaction((trx) => openRequest(trx, request, clock.now()))
      return await existing(store, id, clock.now())
    },
    settled: (id, ms, signal) => settled(options, bell, id, ms, signal),
    spend: (id, operation) => spend(store, id, operation, clock.now()),
    withdraw: async (id) => {
      await withdraw(store, id)
      bell.ring(id)
    },
    vote: async (id, voter, vote, reason) => {
      const casting = { id, voter, vote, now: clock.now(), ...(reason !== undefined && { reason }) }
      return await cast(options, bell, { ...casting, urlOf: (id) => approvalUrl(options.url, id) })
    },
    find: (id) => find(store, id, clock.now()),
    list: (state) => list(store, clock.now(), state),
  }
}

async function cast(options: ApprovalsOptions, bell: Bell, casting: Casting): Promise<VoteResult> {
  const unfit = objectionToVoter(casting.voter)
  if (unfit !== undefined) {
    return { status: 403, refusal: refuse(unfit.code, unfit.message, [], { retry: 'never' }) }
  }
  const result = await options.store.transaction((trx) => castVote(trx, casting))
  if ('approval' in result) {
    await options.onVote?.(result.approval, result.approval.votes.at(-1)!)
    bell.ring(casting.id)
  }
  return result
}

async function settled(
  { store, clock }: ApprovalsOptions,
  bell: Bell,
  id: ApprovalId,
  ms: number,
  signal: AbortSignal,
): Promise<Approval> {
  const end = clock.monotonic() + ms
  for (;;) {
    using alarm = bell.listen(id)
    const approval = await existing(store, id, clock.now())
    const left = end - clock.monotonic()
    if (approval.state !== 'pending' || signal.aborted || !(left > 0)) return approval
    await clock.sleep(Math.min(POLL_MS, left), AbortSignal.any([alarm.signal, signal]))
  }
}

async function spend(store: Store, id: ApprovalId, operation: OperationId, now: number): Promise<boolean> {
  const { numUpdatedRows } = await store.query((db) =>
    db
      .updateTable('approvals')
      .set({ state: 'spent', spent_by: operation })
      .where('id', '=', id)
      .where('state', '=', 'approved')
      .where('expires_at', '>', now)
      .executeTakeFirst(),
  )
  return numUpdatedRows === 1n
}

async function withdraw(store: Store, id: ApprovalId): Promise<void> {
  await store.query((db) =>
    db
      .updateTable('approvals')
      .set({ state: 'withdrawn' })
      .where('id', '=', id)
      .where('state', '=', 'pending')
      .execute(),
  )
}

async function existing(store: Store, id: ApprovalId, now: number): Promise<Approval> {
  const approval = await find(store, id, now)
  if (approval === undefined) throw new Fault('store', `approval ${id} is not in the store`)
  return approval
}

async function find(store: Store, id: ApprovalId, now: number): Promise<Approval | undefined> {
  return await store.transaction(async (trx) => {
    const row = await trx.selectFrom('approvals').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) return undefined
    const votes = await trx.selectFrom('votes').selectAll().where('approval_id', '=', id).orderBy('at').execute()
    return toApproval(row, votes, now)
  })
}

async function list(store: Store, now: number, state?: ApprovalState): Promise<readonly Approval[]> {
  return await store.transaction(async (trx) => {
    const rows = await trx
      .selectFrom('approvals')
      .selectAll()
      .$if(state !== undefined && state !== 'expired', (query) => query.where('state', '=', state!))
      .$if(state === 'expired', (query) => query.where('state', 'in', ['pending', 'approved', 'expired']))
      .$if(state === 'expired', (query) => query.where('expires_at', '<=', now))
      .$if(state === 'pending' || state === 'approved', (query) => query.where('expires_at', '>', now))
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(LIST_LIMIT)
      .execute()
    const ids = rows.map((row) => row.id)
    if (ids.length === 0) return []
    const votes = await trx.selectFrom('votes').selectAll().where('approval_id', 'in', ids).orderBy('at').execute()
    const votesOf = Map.groupBy(votes, (vote) => vote.approval_id)
    return rows.map((row) => toApproval(row, votesOf.get(row.id) ?? [], now))
  })
}
