import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Figure } from './figure.ts'
import { percentile } from './report/statistics.ts'
import { runFigures } from './run.ts'
import { interleave, mapArms, type Arm } from './stage/arms.ts'
import { connectClient } from './stage/client.ts'

/** How long a session takes to come and to go. Each sample is of several sessions, one after the other. */
export const session: Figure = {
  name: 'session',
  about: 'a session opened: from connecting to ready, with a role made for it; and its role gone after the client left',
  run: async (stage, size) => {
    await using watcher = await connectSuperuser(stage.database.postgres.admin)
    const each = Math.ceil(size.repeats / size.rounds)
    const samples = await interleave(stage.arms, size.rounds, async (arm) => {
      const opened: number[] = []
      const gone: number[] = []
      for (let turn = 0; turn < each; turn++) {
        const one = await openAndLeave(arm, watcher.client)
        opened.push(one.opened)
        if (one.gone !== undefined) gone.push(one.gone)
      }
      return { opened, gone }
    })
    const rest = { unit: 'ms', better: 'lower' } as const
    const rivals = ['direct', 'pgbouncer']
    const { gateway = [] } = samples
    return [
      ...([0.5, 0.99] as const).map((share) => ({
        ...rest,
        rivals,
        name: `session-open-p${share * 100}`,
        title: `Session opened, p${share * 100}`,
        arms: mapArms(samples, ({ opened }) => percentile(opened, share)),
      })),
      ...([0.5, 0.99] as const).map((share) => ({
        ...rest,
        rivals: [],
        name: `session-revoke-p${share * 100}`,
        title: `Client left to role gone, p${share * 100}`,
        arms: mapArms({ gateway }, ({ gone }) => percentile(gone, share)),
      })),
    ]
  },
}

/** Both in ms; `gone` only where a role was made for the session. */
async function openAndLeave(arm: Arm, watcher: Client): Promise<{ readonly opened: number; readonly gone?: number }> {
  const start = performance.now()
  const client = await connectClient(arm)
  const opened = performance.now() - start
  const left = performance.now()
  await client.end()
  if (arm.name !== 'gateway') return { opened }
  while ((await sessionRoles(watcher)) > 0) await sleep(1)
  return { opened, gone: performance.now() - left }
}

async function sessionRoles(watcher: Client): Promise<number> {
  const { rows } = await watcher.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_roles WHERE rolname LIKE 'sp\\_%'`,
  )
  return rows[0]!.count
}

async function connectSuperuser(url: string): Promise<AsyncDisposable & { readonly client: Client }> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return { client, [Symbol.asyncDispose]: () => client.end() }
}

if (import.meta.main) await runFigures([session], process.argv.slice(2))
