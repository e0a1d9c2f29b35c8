import type { GrantId, SessionId } from '../gateway/domain.ts'
import type { Soon } from '../gateway/source.ts'
import type { Entry, SessionClosed, SessionOpened } from '../record/entry.ts'
import type { SessionRow } from './schema.ts'
import type { Store } from './store.ts'

/** One session as the lists show it. Times are ms since the epoch; the sequence numbers are those of the log. */
export type SessionSummary = {
  readonly id: SessionId
  readonly target: string
  readonly protocol: string
  /** `provider/subject`. */
  readonly identity: string
  readonly kind: string
  readonly person?: string
  readonly grant: GrantId
  readonly lease: string
  readonly client: string
  readonly application?: string
  readonly openedAt: number
  readonly closedAt?: number
  readonly closeReason?: string
  readonly firstSeq: number
  readonly lastSeq: number
  readonly operations: number
}

export type SessionFilter = {
  /** True: only those open; false: only those closed. */
  readonly live?: boolean
  readonly target?: string
  readonly identity?: string
  /** At most this many, the newest first; 100 unless said. */
  readonly limit?: number
}

/** A table of contents of the log. The log is the truth; this can be made anew from it. */
export interface SessionsIndex {
  /** To be called with every entry of the log, in order. Only the opening and the closing of a session are awaited writes. */
  note(entry: Entry, seq: number, at: number): Soon<void>
  /** Writes down what was noted of sessions that are still open. */
  flush(): Promise<void>
  list(filter?: SessionFilter): Promise<readonly SessionSummary[]>
  /** After a crash: closes the sessions of replicas that are not among the living; how many there were. */
  closeOrphans(livingReplicas: readonly string[], at: number): Promise<number>
}

type Progress = { lastSeq: number; operations: number }

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000

/** `replica`: the id of this gateway, whose sessions the index notes. */
export function sessionsIndex(store: Store, replica: string): SessionsIndex {
  const progress = new Map<SessionId, Progress>()
  const flush = async (): Promise<void> => {
    const noted = [...progress]
    progress.clear()
    for (const [id, { lastSeq, operations }] of noted) {
      await writeProgress(store, id, lastSeq, operations)
    }
  }
  return {
    note: (entry, seq, at) => {
      if (entry.type === 'session.opened') return writeOpened(store, replica, entry, seq, at)
      if (!('session' in entry) || entry.session === undefined) return undefined
      advance(progress, entry.session, seq, isCounted(entry) ? 1 : 0)
      return entry.type === 'session.closed' ? flush().then(() => writeClosed(store, entry, at)) : undefined
    },
    flush,
    list: async (filter = {}) => {
      await flush()
      return list(store, filter)
    },
    closeOrphans: (living, at) => closeOrphans(store, living, at),
  }
}

/** A held operation is decided twice: once is counted. */
function isCounted(entry: Entry): boolean {
  return entry.type === 'operation' && entry.stage === 'execute' && entry.decision !== 'hold'
}

function advance(progress: Map<SessionId, Progress>, session: SessionId, seq: number, operations: number): void {
  const known = progress.get(session)
  if (!known) return void progress.set(session, { lastSeq: seq, operations })
  known.lastSeq = seq
  known.operations += operations
}

async function writeOpened(
  store: Store,
  replica: string,
  entry: SessionOpened,
  seq: number,
  at: number,
): Promise<void> {
  const row: SessionRow = {
    id: entry.session,
    target: entry.target,
    protocol: entry.protocol,
    identity: entry.identity,
    kind: entry.who.kind,
    person: entry.who.person ?? null,
    grant_id: entry.grant,
    lease: entry.lease,
    client: entry.client,
    application: entry.application ?? null,
    replica,
    opened_at: at,
    closed_at: null,
    close_reason: null,
    first_seq: seq,
    last_seq: seq,
    operations: 0,
  }
  await store.query((db) => db.insertInto('sessions').values(row).execute())
}

async function writeProgress(store: Store, id: SessionId, lastSeq: number, operations: number): Promise<void> {
  await store.query((db) =>
    db
      .updateTable('sessions')
      .set((row) => ({ last_seq: lastSeq, operations: row('operations', '+', operations) }))
      .where('id', '=', id)
      .execute(),
  )
}

async function writeClosed(store: Store, entry: SessionClosed, at: number): Promise<void> {
  await store.query((db) =>
    db
      .updateTable('sessions')
      .set({ closed_at: at, close_reason: entry.reason })
      .where('id', '=', entry.session)
      .execute(),
  )
}

async function list(store: Store, filter: SessionFilter): Promise<readonly SessionSummary[]> {
  const { live, target, identity, limit = DEFAULT_LIMIT } = filter
  const rows = await store.query((db) => {
    let query = db.selectFrom('sessions').selectAll()
    if (live !== undefined) query = query.where('closed_at', live ? 'is' : 'is not', null)
    if (target !== undefined) query = query.where('target', '=', target)
    if (identity !== undefined) query = query.where('identity', '=', identity)
    return query.orderBy('opened_at', 'desc').orderBy('id', 'desc').limit(Math.min(limit, MAX_LIMIT)).execute()
  })
  return rows.map(summary)
}

async function closeOrphans(store: Store, living: readonly string[], at: number): Promise<number> {
  const result = await store.query((db) => {
    const open = db
      .updateTable('sessions')
      .set({ closed_at: at, close_reason: 'the gateway stopped' })
      .where('closed_at', 'is', null)
    return (living.length === 0 ? open : open.where('replica', 'not in', living)).executeTakeFirst()
  })
  return Number(result.numUpdatedRows)
}

function summary(row: SessionRow): SessionSummary {
  return {
    id: row.id as SessionId,
    target: row.target,
    protocol: row.protocol,
    identity: row.identity,
    kind: row.kind,
    ...(row.person !== null && { person: row.person }),
    grant: row.grant_id as GrantId,
    lease: row.lease,
    client: row.client,
    ...(row.application !== null && { application: row.application }),
    openedAt: row.opened_at,
    ...(row.closed_at !== null && { closedAt: row.closed_at }),
    ...(row.close_reason !== null && { closeReason: row.close_reason }),
    firstSeq: row.first_seq,
    lastSeq: row.last_seq,
    operations: row.operations,
  }
}
