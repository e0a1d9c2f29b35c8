import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../gateway/clock.ts'
import { Fault } from '../gateway/fault.ts'
import { checkInstallation } from './checkpoint.ts'
import { periodically, signCheckpoints } from './checkpoints.ts'
import type { Entry } from './entry.ts'
import { diskFiles } from './files.ts'
import type { LogFiles } from './files.ts'
import { fingerprint } from './key.ts'
import type { LogKey } from './key.ts'
import { lockLog } from './lock.ts'
import { startQueue } from './queue.ts'
import type { Recorder } from './recorder.ts'
import { recoverLog } from './recover.ts'
import type { Recovered } from './recover.ts'
import { groupSyncs } from './syncs.ts'
import { openTail } from './tail.ts'
import type { Place } from './tail.ts'

export type RecorderOptions = {
  /** Directory of the segment files; made with mode 0700. */
  readonly dir: string
  /** Letters, digits, `_` and `-`; part of every checkpoint. */
  readonly installation: string
  readonly replica: string
  readonly key: LogKey
  readonly clock: Clock
  /** Called with each checkpoint line once the checkpoint is on disk; the line is to leave the machine. */
  readonly onCheckpoint: (line: string) => void
  /** Called for each entry once it is written, in order, `at` in ms since the epoch. Must not throw. */
  readonly onStored?: (seq: number, at: number, entry: Entry, place: Place) => void
  /** Told why something could not be appended. Must not throw. */
  readonly onFailed?: (error: unknown) => void
  /** A new segment is begun after about this size. 64 MiB unless given. */
  readonly segmentBytes?: number
  /** Disk space kept for the records that end what runs: below it nothing new is recorded. 16 MiB unless given. */
  readonly reserveBytes?: number
  readonly files?: LogFiles
}

const SEGMENT_BYTES = 64 * 1024 * 1024
const RESERVE_BYTES = 16 * 1024 * 1024
const CHECKPOINT_MS = 10_000

/**
 * Opens the log for writing, alone: recovers from a crash, records that it was opened, signs a checkpoint every 10 s.
 * Throws Fault `unrecordable` when another process writes it, or when its last segment does not verify.
 */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const { dir, files = diskFiles } = options
  checkInstallation(options.installation)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  files.syncDirectory(dirname(dir))
  const lock = lockLog(dir)
  try {
    return await start(options, files, await recoverLog(dir, files, options.key.publicKey), lock)
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

async function start(
  options: RecorderOptions,
  files: LogFiles,
  recovered: Recovered,
  lock: Disposable,
): Promise<Recorder> {
  const { installation, replica, key, clock, segmentBytes = SEGMENT_BYTES, reserveBytes = RESERVE_BYTES } = options
  const tail = openTail({ ...options, ...recovered, files, segmentBytes })
  const syncs = groupSyncs(tail)
  const queue = startQueue({ ...options, reserveBytes, files, tail, syncs })
  const checkpoint = signCheckpoints({ ...options, queue })
  try {
    if (recovered.torn) await queue.append(recovered.torn, 'synced')
    const opened: Entry = { type: 'log.opened', installation, replica, key: fingerprint(key.publicKey) }
    await queue.append(opened, 'synced')
  } catch (error) {
    tail.close()
    throw error
  }
  const timer = periodically(clock, CHECKPOINT_MS, checkpoint)
  return { append: queue.append, checkpoint, [Symbol.asyncDispose]: close }

  async function close(): Promise<void> {
    if (queue.isClosed()) return
    await timer[Symbol.asyncDispose]()
    const last = checkpoint()
    queue.close()
    const [signed] = await Promise.allSettled([last])
    const [synced] = await Promise.allSettled([syncs.wait()])
    tail.close()
    lock[Symbol.dispose]()
    const failed = [signed, synced].find(({ status }) => status === 'rejected')
    if (failed) throw new Fault('unrecordable', 'the log was closed without its last checkpoint', failed)
  }
}
