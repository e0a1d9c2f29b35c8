import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Kysely, type Transaction } from 'kysely'
import { systemClock, type Clock } from '../gateway/clock.ts'
import { Fault } from '../gateway/fault.ts'
import { migrate } from './migrations.ts'
import type { Schema } from './schema.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'

/** What outlives a gateway: grants, approvals, the index of sessions. Every failure is thrown as Fault `store`. */
export interface Store extends AsyncDisposable {
  /** Eight lower-case hex digits, made once: part of every name this installation gives at a target. */
  readonly installation: string
  query<T>(work: (db: Kysely<Schema>) => Promise<T>): Promise<T>
  /** All of it or nothing. Inside, use the given transaction only: the store itself would wait for its end. */
  transaction<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T>
}

/** Opens the embedded store in the data directory, made and migrated when need be. */
export async function openStore(dataDir: string, clock: Clock = systemClock): Promise<Store> {
  const db = await guarded(async () => new Kysely<Schema>({ dialect: sqliteDialect(openFile(dataDir)) }))
  try {
    const installation = await guarded(async () => {
      await migrate(db, clock.now())
      return await db.transaction().execute((trx) => readInstallation(trx, clock.now()))
    })
    return storeOver(db, installation)
  } catch (error) {
    await db.destroy()
    throw error
  }
}

function openFile(dataDir: string): ReturnType<typeof openSqlite> {
  return openSqlite(join(dataDir, 'sallyport.db'))
}

function storeOver(db: Kysely<Schema>, installation: string): Store {
  return {
    installation,
    query: (work) => guarded(() => work(db)),
    transaction: (work) => guarded(() => db.transaction().execute(work)),
    [Symbol.asyncDispose]: () => db.destroy(),
  }
}

async function readInstallation(trx: Transaction<Schema>, now: number): Promise<string> {
  const known = await trx.selectFrom('installation').select('id').executeTakeFirst()
  if (known !== undefined) return known.id
  const id = randomBytes(4).toString('hex')
  await trx.insertInto('installation').values({ id, created_at: now, clock_seen_at: now }).execute()
  return id
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fault) throw error
    throw new Fault('store', `the store failed: ${error instanceof Error ? error.message : 'unknown reason'}`, error)
  }
}
