import type { Clock } from '../gateway/clock.ts'
import { checkpointLine, signCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { LogKey } from './key.ts'
import { encodeMembers } from './encode-entry.ts'
import type { Queue } from './queue.ts'

export type CheckpointsOptions = {
  readonly installation: string
  readonly key: LogKey
  readonly queue: Queue
  readonly onCheckpoint: (line: string) => void
}

/**
 * Signs the head of the chain, unless nothing was appended since the last time. Calls of one turn share one checkpoint;
 * its line is given out once the record is on disk.
 */
export function signCheckpoints(options: CheckpointsOptions): () => Promise<void> {
  const { installation, key, queue, onCheckpoint } = options
  let scheduled: Promise<void> | undefined
  let latest = Promise.resolve()
  let covered = 0

  async function write(): Promise<void> {
    let made: Checkpoint | undefined
    try {
      await queue.appendLast((at) => (head) => {
        scheduled = undefined
        covered = queue.appended()
        made = signCheckpoint(key.privateKey, installation, head, at)
        return encodeMembers({ type: 'checkpoint', ...made })
      })
    } catch (error) {
      scheduled = undefined
      covered = -1
      throw error
    }
    onCheckpoint(checkpointLine(made!))
  }

  return () => {
    if (scheduled) return scheduled
    if (covered === queue.appended()) return latest
    scheduled = latest = write()
    return latest
  }
}

/** Calls `run` every `ms` until disposed. It may fail: whoever appends at that time is told, and the next turn tries again. */
export function periodically(clock: Clock, ms: number, run: () => Promise<void>): AsyncDisposable {
  const stop = new AbortController()
  const { signal } = stop
  const running = repeat()

  async function repeat(): Promise<void> {
    await clock.sleep(ms, signal)
    while (!signal.aborted) {
      await Promise.allSettled([run()])
      await clock.sleep(ms, signal)
    }
  }

  return {
    [Symbol.asyncDispose]: () => {
      stop.abort()
      return running
    },
  }
}
