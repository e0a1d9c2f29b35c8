import type { Transaction } from 'kysely'
import type { Refusal } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { Schema } from '../store/schema.ts'

/** Clocks that are corrected, and clocks of several gateways, differ by this much without harm. */
const CLOCK_TOLERANCE_MS = 2_000

/** No access is given while the clock is back. Keeps the latest wall time in the store, so that a restart does not forget it. */
export async function clockBack(trx: Transaction<Schema>, now: number): Promise<Refusal | undefined> {
  await trx.updateTable('installation').set({ clock_seen_at: now }).where('clock_seen_at', '<', now).execute()
  const { clock_seen_at: seen } = await trx.selectFrom('installation').select('clock_seen_at').executeTakeFirstOrThrow()
  if (now >= seen - CLOCK_TOLERANCE_MS) return undefined
  const message = "The gateway's clock went back: no access is given until it has caught up."
  return refuse('unavailable', message, [{ do: 'wait', hint: "an operator must check the gateway's clock" }])
}
