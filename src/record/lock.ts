import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Fault } from '../gateway/fault.ts'

/**
 * Keeps every other process from writing this log until it is disposed. The lock is SQLite's exclusive one (fcntl on
 * `lock`), so the kernel drops it when the process dies, however it dies. Throws Fault `unrecordable` when it is taken.
 */
export function lockLog(dir: string): Disposable {
  const path = join(dir, 'lock')
  const file = new DatabaseSync(path, { timeout: 0 })
  try {
    chmodSync(path, 0o600)
    file.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    file.close()
    throw new Fault('unrecordable', `another gateway is writing the log in ${dir}`, error)
  }
  return { [Symbol.dispose]: () => file.close() }
}
