import { setImmediate } from 'node:timers/promises'
import { diskFiles } from './files.ts'
import type { LogFiles } from './files.ts'

/** For tests: the disk, except for the calls that are replaced; `writes` counts the writes that came. */
export function flakyFiles(replaced: Partial<LogFiles>): LogFiles & { readonly writes: () => number } {
  const files = { ...diskFiles, ...replaced }
  let writes = 0
  return {
    ...files,
    write: (fd, bytes, position) => {
      writes += 1
      return files.write(fd, bytes, position)
    },
    writes: () => writes,
  }
}

export function diskError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: of a fake disk`), { code })
}

export type PowerCut = {
  readonly files: LogFiles
  /** Leaves on disk what was durable, and of the rest the part that `keep` (0 to 1) says. */
  readonly strike: (keep: number) => void
}

/** `dropped`: a sync of it failed, and what it was to make durable never will be, although later ones succeed. */
type Kept = { readonly path: string; length: number; durable: number; named: boolean; dropped: boolean }

/**
 * For tests: a disk whose power fails at call number `at`; from then on every call fails. Before that the syncs of the
 * numbers in `failing` (from 1) fail, as Linux's do: once, and what was not on disk by then is dropped.
 */
export function powerCut(at: number, failing: ReadonlySet<number> = new Set()): PowerCut {
  const open = new Map<number, Kept>()
  const all = new Map<string, Kept>()
  let calls = 0
  let syncs = 0

  function powered(): void {
    calls += 1
    if (calls >= at) throw diskError('EIO')
  }

  function opened(fd: number, kept: Kept): number {
    open.set(fd, kept)
    all.set(kept.path, kept)
    return fd
  }

  function harden(kept: Kept, length: number, number: number): void {
    if (failing.has(number)) kept.dropped = true
    if (failing.has(number)) throw diskError('EIO')
    if (!kept.dropped) kept.durable = Math.max(kept.durable, length)
  }

  const files: LogFiles = {
    ...diskFiles,
    create: (path) => {
      powered()
      return opened(diskFiles.create(path), { path, length: 0, durable: 0, named: false, dropped: false })
    },
    write: (fd, bytes, position) => {
      powered()
      const count = diskFiles.write(fd, bytes.subarray(0, Math.ceil(bytes.length / (calls % 3 || 1))), position)
      open.get(fd)!.length = position + count
      return count
    },
    truncate: (fd, length) => {
      powered()
      diskFiles.truncate(fd, length)
      const kept = open.get(fd)!
      kept.length = length
      kept.durable = Math.min(kept.durable, length)
    },
    sync: async (fd) => {
      powered()
      const kept = open.get(fd)!
      const { length } = kept
      const number = ++syncs
      for (let turn = 0; turn < 4; turn++) await setImmediate()
      powered()
      harden(kept, length, number)
    },
    syncNow: (fd) => {
      powered()
      const kept = open.get(fd)!
      harden(kept, kept.length, ++syncs)
    },
    remove: (path) => {
      powered()
      diskFiles.remove(path)
      all.delete(path)
    },
    syncDirectory: () => {
      powered()
      for (const kept of all.values()) kept.named = true
    },
  }

  function strike(keep: number): void {
    for (const { path, length, durable, named } of all.values()) {
      if (!named) {
        diskFiles.remove(path)
        continue
      }
      const fd = diskFiles.open(path)
      diskFiles.truncate(fd, durable + Math.floor((length - durable) * keep))
      diskFiles.close(fd)
    }
  }

  return { files, strike }
}
