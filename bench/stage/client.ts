import { Client } from 'pg'
import type { Arm } from './arms.ts'
import { DATABASE } from './database.ts'

/** Sessions opened at the same time. */
const AT_ONCE = 8

/** A connected client of an arm, by an ordinary driver. */
export async function connectClient({ port, user, password }: Arm): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port, user, password, database: DATABASE })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** So many clients, some at the same time. */
export async function openClients(arm: Arm, count: number): Promise<readonly Client[]> {
  const clients: Client[] = []
  const opener = async (): Promise<void> => {
    while (clients.length + AT_ONCE <= count) clients.push(await connectClient(arm))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, opener))
  while (clients.length < count) clients.push(await connectClient(arm))
  return clients
}

export async function closeClients(clients: readonly Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.end()))
}
