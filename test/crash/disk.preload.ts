import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import { isMainThread } from 'node:worker_threads'

/**
 * Loaded into the gateway's process (`node --import`): notes in the file `SYNCED` how much of each segment of the log is
 * on disk, a line `<segment> <bytes>` after each fdatasync that returned. After SIGUSR2 the next write to the log writes
 * the part of its bytes that `TORN` says (0 to 1) and kills the process.
 */
function watchLog(synced: string, torn: number): void {
  const { openSync, closeSync, writeSync, fdatasync, fdatasyncSync, fstatSync, appendFileSync } = fs
  const segments = new Map<number, string>()
  let striking = false
  process.on('SIGUSR2', () => (striking = true))

  /** What was written before the call is on disk when it returns; what is written meanwhile may not be. */
  const sizeOf = (fd: number): (() => void) => {
    const segment = segments.get(fd)
    const line = segment && `${segment} ${fstatSync(fd).size}\n`
    return () => line && appendFileSync(synced, line)
  }

  const watched = {
    openSync: (...args: Parameters<typeof openSync>) => {
      const fd = openSync(...args)
      const name = basename(String(args[0]))
      if (/^\d{12}\.log$/.test(name)) segments.set(fd, name)
      return fd
    },
    closeSync: (fd: number) => {
      segments.delete(fd)
      closeSync(fd)
    },
    writeSync: (fd: number, bytes: Buffer, offset: number, length: number, position: number) => {
      if (!striking || !segments.has(fd)) return writeSync(fd, bytes, offset, length, position)
      writeSync(fd, bytes, offset, Math.floor(length * torn), position)
      process.kill(process.pid, 'SIGKILL')
      return 0
    },
    fdatasync: (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
      const note = sizeOf(fd)
      fdatasync(fd, (error) => {
        if (!error) note()
        done(error)
      })
    },
    fdatasyncSync: (fd: number) => {
      const note = sizeOf(fd)
      fdatasyncSync(fd)
      note()
    },
  }
  Object.assign(fs, watched)
  syncBuiltinESMExports()
}

const { SYNCED, TORN } = process.env
if (isMainThread && SYNCED) watchLog(SYNCED, Number(TORN))
