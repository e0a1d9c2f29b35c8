import { setTimeout as sleep } from 'node:timers/promises'
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { CompiledQuery, SqliteAdapter, SqliteDriver, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { DatabaseConnection, Dialect, Driver, SqliteDatabase } from 'kysely'

/** How long a statement waits for the lock that another process holds, and how often it tries. */
const BUSY_TIMEOUT_MS = 5_000
const BUSY_RETRY_MS = 5
const SQLITE_BUSY = 5

/** Opens (or makes, mode 0600 in a directory of mode 0700) the database file, durable at every commit. */
export function openSqlite(file: string): DatabaseSync {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
  const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
  database.exec('pragma journal_mode = wal')
  database.exec('pragma synchronous = full')
  database.exec('pragma busy_timeout = 0')
  return database
}

/** Kysely's SQLite dialect over Node's own SQLite. */
export function sqliteDialect(database: DatabaseSync): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => immediateDriver(new SqliteDriver({ database: adapted(database) }), database),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** Transactions take the write lock at their start: a read that becomes a write would fail when another process writes. */
function immediateDriver(driver: SqliteDriver, database: DatabaseSync): Driver {
  return {
    init: (options) => driver.init(options),
    acquireConnection: async () => patient(await driver.acquireConnection()),
    releaseConnection: () => driver.releaseConnection(),
    destroy: () => driver.destroy(),
    beginTransaction: async (connection) => {
      await connection.executeQuery(CompiledQuery.raw('begin immediate'))
    },
    commitTransaction: (connection) => driver.commitTransaction(connection),
    rollbackTransaction: async (connection) => {
      if (database.isTransaction) await driver.rollbackTransaction(connection)
    },
  }
}

/** SQLite's own wait for a lock would stop the whole process: this one waits beside it. */
function patient(connection: DatabaseConnection): DatabaseConnection {
  return {
    executeQuery: async (query, options) => {
      const end = performance.now() + BUSY_TIMEOUT_MS
      for (;;) {
        try {
          return await connection.executeQuery(query, options)
        } catch (error) {
          if (!isBusy(error) || performance.now() > end) throw error
          await sleep(BUSY_RETRY_MS)
        }
      }
    },
    streamQuery: (query, chunkSize, options) => connection.streamQuery(query, chunkSize, options),
  }
}

/** The primary result code is in the low byte (sqlite.org/rescode.html). */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
}

/** The interface that Kysely expects (better-sqlite3's), where parameters come as one array. */
function adapted(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
        run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
        iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
      }
    },
  }
}
