import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { promisify } from 'node:util'

/** Every call of the log that changes the disk: the seam where tests make disks fail. Paths and descriptors as in node:fs. */
export interface LogFiles {
  /** A new file, mode 0600; fails when there is one. */
  create(path: string): number
  /** An existing file, for reading and writing. */
  open(path: string): number
  /** Bytes written at `position`, which may be fewer than given. */
  write(fd: number, bytes: Buffer, position: number): number
  truncate(fd: number, length: number): void
  sync(fd: number): Promise<void>
  syncNow(fd: number): void
  remove(path: string): void
  /** Makes names that were made or removed in the directory durable. */
  syncDirectory(dir: string): void
  close(fd: number): void
  /** Bytes that this process may still write there. */
  space(dir: string): number
}

const datasync = promisify(fdatasync)

export const diskFiles: LogFiles = {
  create: (path) => openSync(path, 'wx+', 0o600),
  open: (path) => openSync(path, 'r+'),
  write: (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
  truncate: (fd, length) => ftruncateSync(fd, length),
  sync: (fd) => datasync(fd),
  syncNow: (fd) => fdatasyncSync(fd),
  remove: (path) => unlinkSync(path),
  syncDirectory: (dir) => {
    const fd = openSync(dir, constants.O_RDONLY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  },
  close: (fd) => closeSync(fd),
  space: (dir) => {
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize
  },
}
