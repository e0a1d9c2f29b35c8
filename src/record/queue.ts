import type { Clock } from '../gateway/clock.ts'
import { encodeMembers } from './encode-entry.ts'
import { Fault } from '../gateway/fault.ts'
import type { Entry } from './entry.ts'
import type { LogFiles } from './files.ts'
import { MAX_LINE_BYTES } from './line.ts'
import type { Recorder, Stored } from './recorder.ts'
import type { Syncs } from './syncs.ts'
import type { Draft, Place, Tail } from './tail.ts'

export type QueueOptions = {
  readonly dir: string
  readonly clock: Clock
  readonly files: LogFiles
  readonly tail: Tail
  readonly syncs: Syncs
  readonly reserveBytes: number
  readonly onStored?: (seq: number, at: number, entry: Entry, place: Place) => void
  readonly onFailed?: (error: unknown) => void
}

/** Gathers what is appended in one turn of the event loop into one write. */
export interface Queue {
  readonly append: Recorder['append']
  /** After everything appended in this turn, one record made at the moment of writing; resolves when it is durable. */
  readonly appendLast: (draft: (at: string) => Draft) => Promise<void>
  /** How many entries `append` took so far. */
  readonly appended: () => number
  /** Refuses what is appended from now on; what was appended before is still written. */
  readonly close: () => void
  readonly isClosed: () => boolean
}

/** What goes out in one write: everything in it is stored together, or nothing is. */
type Batch = {
  readonly entries: Entry[]
  readonly members: string[]
  readonly last: Last[]
  /** Of those who wait for `written`, and for `synced`; none: nobody does. */
  written?: PromiseWithResolvers<Stored>
  synced?: PromiseWithResolvers<Stored>
}
type Last = { readonly draft: (at: string) => Draft; readonly done: PromiseWithResolvers<void> }

/** Room for the members that the log adds to an entry's own. */
const ADDED_BYTES = 256
const SPACE_CHECK_MS = 250

export function startQueue(options: QueueOptions): Queue {
  const { clock, tail, syncs } = options
  const hasRoom = watchSpace(options)
  let next: Batch | undefined
  let closed = false
  let appended = 0

  function append(entry: Entry, durability: 'written' | 'synced'): Promise<Stored> {
    const members = encodeMembers(entry)
    const why = objection(entry, members)
    if (why !== undefined) return refused(why)
    appended += 1
    const batch = nextBatch()
    batch.entries.push(entry)
    batch.members.push(members)
    return (batch[durability] ??= Promise.withResolvers()).promise
  }

  function refused(why: string): Promise<never> {
    const error = new Fault('unrecordable', why)
    options.onFailed?.(error)
    return Promise.reject(error)
  }

  function objection(entry: Entry, members: string): string | undefined {
    if (closed) return 'the log is closed'
    if (isTooLong(members)) return `a record of ${members.length} characters is too long`
    if (needsRoom(entry) && !hasRoom()) return 'the disk of the log is nearly full'
    return undefined
  }

  function appendLast(draft: (at: string) => Draft): Promise<void> {
    if (closed) return Promise.reject(new Fault('unrecordable', 'the log is closed'))
    const done = Promise.withResolvers<void>()
    nextBatch().last.push({ draft, done })
    return done.promise
  }

  /** Measured: setImmediate runs once for all sockets of a turn; a microtask would run, and write, after each of them. */
  function nextBatch(): Batch {
    if (next === undefined) setImmediate(flush)
    next ??= { entries: [], members: [], last: [] }
    return next
  }

  function flush(): void {
    const batch = next!
    next = undefined
    const now = clock.now()
    const at = new Date(now).toISOString()
    const drafts: (string | Draft)[] = batch.members
    for (const { draft } of batch.last) drafts.push(draft(at))
    try {
      settle(batch, now, tail.write(at, drafts))
    } catch (error) {
      options.onFailed?.(error)
      for (const done of [batch.written, batch.synced, ...batch.last.map((each) => each.done)]) done?.reject(error)
    }
  }

  function settle(batch: Batch, now: number, places: readonly Place[]): void {
    const { written, synced } = batch
    const { seq } = tail.head()
    const stored = { seq } as Stored
    const needsSync = batch.last.length > 0 || synced !== undefined || tail.isFull()
    const durable = needsSync ? syncs.wait() : undefined
    // Whoever asked for `synced` is told below; a segment that is only full tries again with the next batch.
    void durable?.catch((error: unknown) => options.onFailed?.(error))
    written?.resolve(stored)
    if (synced) durable!.then(() => synced.resolve(stored), synced.reject)
    for (const { done } of batch.last) durable!.then(done.resolve, done.reject)
    const first = seq - places.length + 1
    batch.entries.forEach((entry, index) => options.onStored?.(first + index, now, entry, places[index]!))
  }

  return { append, appendLast, appended: () => appended, close: () => void (closed = true), isClosed: () => closed }
}

/** In UTF-8 a UTF-16 code unit has three bytes at most: a short text need not be measured. */
function isTooLong(members: string): boolean {
  const most = MAX_LINE_BYTES - ADDED_BYTES
  return members.length * 3 > most && Buffer.byteLength(members) > most
}

const NEEDS_ROOM: ReadonlySet<Entry['type']> = new Set([
  'session.opened',
  'session.refused',
  'grant.opened',
  'grant.refused',
  'operation',
  'input',
  'preview',
  'answer',
  'token.exchanged',
  'token.refused',
])

/** An answer that says nothing but how its operation ended is one of the ends that room is kept for. */
function needsRoom(entry: Entry): boolean {
  const isEnd = entry.type === 'answer' && entry.size === 0 && entry.outcome !== undefined
  return !isEnd && NEEDS_ROOM.has(entry.type)
}

/** The last bytes of a disk are kept for what says how something that already runs ends. */
function watchSpace({ dir, files, clock, reserveBytes }: QueueOptions): () => boolean {
  let checkedAt = Number.NEGATIVE_INFINITY
  let roomy = false
  return () => {
    const now = clock.monotonic()
    if (now - checkedAt >= SPACE_CHECK_MS) {
      roomy = files.space(dir) >= reserveBytes
      checkedAt = now
    }
    return roomy
  }
}
