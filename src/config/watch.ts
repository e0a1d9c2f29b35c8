import { statSync, watch, type FSWatcher } from 'node:fs'
import type { Clock } from '../gateway/clock.ts'
import { reasonOf } from '../gateway/fault.ts'

export type WatchOptions = {
  /** Where the files are, by now. */
  readonly directories: () => readonly string[]
  /** The files are other than at the last attempt. */
  readonly isStale: () => Promise<boolean>
  /** Called when they are, and nothing in their directories has moved for a while. */
  readonly changed: () => Promise<unknown>
  readonly clock: Clock
  readonly warn: (line: string) => void
  /** How often is looked where the file system tells nothing, in ms. */
  readonly everyMs?: number
}

const EVERY_MS = 5_000
/** Editors and tools write in several steps: so long nothing must happen, in ms. */
const QUIET_MS = 200

/**
 * Watches files by their directories, because editors and Kubernetes replace files and symbolic links instead of writing
 * to them. What the file system does not tell (a link's far end, a network drive) is found by looking every few seconds.
 */
export function watchFiles(options: WatchOptions): AsyncDisposable {
  const { isStale, changed, clock, everyMs = EVERY_MS } = options
  const stop = new AbortController()
  const nudges = directoryWatch(options)
  const looking = (async () => {
    while (!stop.signal.aborted) {
      nudges.follow(options.directories())
      await clock.sleep(everyMs, AbortSignal.any([stop.signal, nudges.next()]))
      if (stop.signal.aborted || !(await isStale())) continue
      await quiet(nudges, clock, stop.signal)
      if (!stop.signal.aborted && (await isStale())) await changed()
    }
  })()
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await looking
      nudges.follow([])
    },
  }
}

/** Until nothing has moved for a moment, but not for ever. */
async function quiet(nudges: Nudges, clock: Clock, stop: AbortSignal): Promise<void> {
  const until = clock.monotonic() + 10 * QUIET_MS
  let moved = true
  while (moved && clock.monotonic() < until && !stop.aborted) {
    const next = nudges.next()
    await clock.sleep(QUIET_MS, stop)
    moved = next.aborted
  }
}

/** What the file system says of directories. */
type Nudges = {
  /** From now on of these. One that was not among them counts as a thing that has just happened. */
  readonly follow: (directories: readonly string[]) => void
  /** Aborts with the next thing that happens, or has been since something happened that nobody was told of yet. */
  readonly next: () => AbortSignal
}

function directoryWatch({ warn }: WatchOptions): Nudges {
  const watchers = new Map<string, { readonly watcher: FSWatcher; readonly which: string }>()
  let waiting = new AbortController()
  let told = false
  const drop = (directory: string): void => {
    watchers.get(directory)?.watcher.close()
    watchers.delete(directory)
  }
  const failed = (directory: string, error: unknown): void => {
    drop(directory)
    if (told || (error as NodeJS.ErrnoException).code === 'ENOENT') return
    told = true
    warn(`${directory} cannot be watched, and is looked at every few seconds: ${reasonOf(error)}`)
  }
  const add = (directory: string): void => {
    try {
      const which = whichIs(directory) // before it is watched: one that takes its place between the two is another
      const watcher = watch(directory, { persistent: false }, () => waiting.abort())
      watcher.on('error', (error) => failed(directory, error))
      watchers.set(directory, { watcher, which })
      waiting.abort() // nobody tells what happened since the last look and before this
    } catch (error) {
      failed(directory, error)
    }
  }
  return {
    follow: (directories) => {
      for (const [directory, { which }] of watchers) {
        if (!directories.includes(directory) || whichIs(directory) !== which) drop(directory)
      }
      for (const directory of directories) if (!watchers.has(directory)) add(directory)
    },
    next: () => {
      const { signal } = waiting
      if (signal.aborted) waiting = new AbortController()
      return signal
    },
  }
}

/** Another directory may have been put in its place; one that is made anew can get the inode of the one before. */
function whichIs(directory: string): string {
  const stats = statSync(directory, { throwIfNoEntry: false, bigint: true })
  return `${stats?.dev} ${stats?.ino} ${stats?.birthtimeNs}`
}
