import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres } from '../test/postgres.ts'

type Rows = readonly Readonly<Record<string, unknown>>[]

/** A PostgreSQL with the shop of shop.sql in its database `orders`. Disposing it removes it. */
export interface Shop extends AsyncDisposable {
  /** Connection URL of the database, without user and password. */
  readonly url: string
  /** Connection URL of the login that makes the sessions' roles. */
  readonly admin: string
  /** Asks the database itself, as its superuser and past the gateway: what is really so. */
  truth(sql: string): Promise<Rows>
}

/** Starts the database and fills it. Takes about 3 s. */
export async function startShop(): Promise<Shop> {
  const postgres = await startPostgres()
  try {
    const superuser = new URL(postgres.admin)
    superuser.pathname = '/orders'
    const truth = (sql: string): Promise<Rows> => postgres.query(sql, [], superuser.href)
    const password = randomBytes(24).toString('hex')
    await postgres.query('CREATE DATABASE orders')
    await truth(await readFile(join(import.meta.dirname, 'shop.sql'), 'utf8'))
    await truth(`ALTER ROLE sallyport PASSWORD '${password}'`)
    return {
      url: postgres.url('orders'),
      admin: postgres.url('orders', 'sallyport', password),
      truth,
      [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
    }
  } catch (error) {
    await postgres[Symbol.asyncDispose]()
    throw error
  }
}
