import type { Transaction } from 'kysely'
import { Fault } from '../gateway/fault.ts'
import { newId } from '../gateway/ids.ts'
import type { ApprovalId, Hold } from '../gateway/domain.ts'
import type { ApprovalRow, Schema } from '../store/schema.ts'
import type { ApprovalRequest } from './approvals.ts'
import { requesterKey } from '../gateway/identity.ts'
import { holdOf, toRow } from './rows.ts'

/** The id of the open request for the same identity, target and digest: the one there is, or a new one. */
export async function openRequest(
  trx: Transaction<Schema>,
  request: ApprovalRequest,
  now: number,
): Promise<ApprovalId> {
  await expireOverdue(trx, request, now)
  const open = await findOpen(trx, request)
  if (open !== undefined && covers(holdOf(open), request.hold)) return open.id as ApprovalId
  if (open !== undefined) await replace(trx, open)
  await trx
    .insertInto('approvals')
    .values(toRow(newId('apr', now), request, now))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const made = await findOpen(trx, request)
  if (made === undefined) throw new Fault('store', 'the approval request is not in the store after it was written')
  return made.id as ApprovalId
}

/** What time has ended must not stand in the way of a new request. */
async function expireOverdue(trx: Transaction<Schema>, request: ApprovalRequest, now: number): Promise<void> {
  await trx
    .updateTable('approvals')
    .set({ state: 'expired' })
    .where('requester_key', '=', requesterKey(request.requester))
    .where('target', '=', request.target)
    .where('digest', '=', request.digest)
    .where('state', 'in', ['pending', 'approved'])
    .where('expires_at', '<=', now)
    .execute()
}

async function findOpen(trx: Transaction<Schema>, request: ApprovalRequest): Promise<ApprovalRow | undefined> {
  return await trx
    .selectFrom('approvals')
    .selectAll()
    .where('requester_key', '=', requesterKey(request.requester))
    .where('target', '=', request.target)
    .where('digest', '=', request.digest)
    .where('state', 'in', ['pending', 'approved'])
    .executeTakeFirst()
}

/** True when an answer to the one hold is also an answer to the other: a policy made stricter needs a new answer. */
function covers(before: Hold, now: Hold): boolean {
  return now.groups.every((group) => before.groups.includes(group)) && before.quorum >= now.quorum
}

async function replace(trx: Transaction<Schema>, open: ApprovalRow): Promise<void> {
  await trx.updateTable('approvals').set({ state: 'withdrawn' }).where('id', '=', open.id).execute()
}
