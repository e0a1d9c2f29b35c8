import { Client } from 'pg'
import type { Arm } from './arms.ts'
import { DATABASE } from './database.ts'

/** A connected client of an arm, by an ordinary driver. */
export async function connectClient({ port, user, password }: Arm): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port, user, password, database: DATABASE })
  client.on('error', () => undefined)
  await client.connect()
  return client
}
