import { BACKEND, FRONTEND } from './message-types.ts'
import type { FrameLimit } from './frames.ts'

/** The most that one message of this size may have, in bytes. */
const KIB = 1024
const MIB = 1024 * KIB

const CLIENT: Readonly<Record<number, number>> = {
  [FRONTEND.Query]: 64 * MIB,
  [FRONTEND.Parse]: 64 * MIB,
  [FRONTEND.Bind]: 64 * MIB,
  [FRONTEND.Execute]: KIB,
  [FRONTEND.Describe]: KIB,
  [FRONTEND.Close]: KIB,
  [FRONTEND.Flush]: 4,
  [FRONTEND.Sync]: 4,
  [FRONTEND.Terminate]: 4,
  [FRONTEND.FunctionCall]: 64 * MIB,
  [FRONTEND.CopyData]: 64 * MIB,
  [FRONTEND.CopyDone]: 4,
  [FRONTEND.CopyFail]: 64 * KIB,
}

/** After the start a client sends these and nothing else. */
export const CLIENT_LIMITS: FrameLimit = (type) => CLIENT[type] ?? 0

/** What is longer than this is refused unread, so no more of it is kept than its beginning. */
const WHOLE: Readonly<Record<number, number>> = {
  [FRONTEND.Query]: 2 * MIB,
  [FRONTEND.Parse]: 2 * MIB,
  [FRONTEND.Bind]: 16 * MIB,
  [FRONTEND.FunctionCall]: 16 * MIB,
}

/** The largest messages of a client that are kept whole: one at a time of each session. */
export const CLIENT_WHOLE: FrameLimit = (type) => WHOLE[type] ?? CLIENT_LIMITS(type)

const backendTypes: ReadonlySet<number> = new Set(Object.values(BACKEND))

/** Messages of a target without content, and the one with a single byte: they are passed on as they are. */
const TARGET: Readonly<Record<number, number>> = {
  [BACKEND.ParseComplete]: 4,
  [BACKEND.BindComplete]: 4,
  [BACKEND.CloseComplete]: 4,
  [BACKEND.EmptyQueryResponse]: 4,
  [BACKEND.NoData]: 4,
  [BACKEND.PortalSuspended]: 4,
  [BACKEND.CopyDone]: 4,
  [BACKEND.ReadyForQuery]: 5,
}

/** A value of PostgreSQL is at most 1 GiB; a target's message here at most a quarter of that. */
export const TARGET_LIMITS: FrameLimit = (type) => TARGET[type] ?? (backendTypes.has(type) ? 256 * MIB : 0)
