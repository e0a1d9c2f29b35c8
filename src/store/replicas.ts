import { randomBytes } from 'node:crypto'
import type { Clock } from '../gateway/clock.ts'
import type { Store } from './store.ts'

/** One running gateway of the installation. Disposing it takes it off the list. */
export interface Replica extends AsyncDisposable {
  /** Eight lower-case hex digits, new at every start. */
  readonly id: string
  /** Says that it is alive; to be called every few seconds. */
  beat(): Promise<void>
}

/** Puts this gateway on the list of the living. */
export async function startReplica(store: Store, clock: Clock): Promise<Replica> {
  const id = randomBytes(4).toString('hex')
  const now = clock.now()
  await store.query((db) => db.insertInto('replicas').values({ id, started_at: now, seen_at: now }).execute())
  return {
    id,
    beat: async () => {
      await store.query((db) =>
        db.updateTable('replicas').set({ seen_at: clock.now() }).where('id', '=', id).executeTakeFirst(),
      )
    },
    [Symbol.asyncDispose]: async () => {
      await store.query((db) => db.deleteFrom('replicas').where('id', '=', id).executeTakeFirst())
    },
  }
}

/** The ids of the replicas that said they are alive at or after `since` (ms since the epoch). */
export async function replicasSeen(store: Store, since: number): Promise<readonly string[]> {
  const rows = await store.query((db) =>
    db.selectFrom('replicas').select('id').where('seen_at', '>=', since).orderBy('id').execute(),
  )
  return rows.map((row) => row.id)
}
