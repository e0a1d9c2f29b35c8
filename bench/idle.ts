import { setTimeout as sleep } from 'node:timers/promises'
import type { Figure } from './figure.ts'
import { runFigures } from './run.ts'
import type { Arm } from './stage/arms.ts'
import { closeClients, openClients } from './stage/client.ts'
import { residentMemory } from './stage/processes.ts'

/** Until what opening needed is let go of, in ms. */
const REST_MS = 3_000

/**
 * What sessions that do nothing cost in memory. Measured once, and on a gateway of its own: a process does not give back
 * what it once had, and uses that again.
 */
export const idle: Figure = {
  name: 'idle',
  about: 'memory of the process in between for each session that is open and idle',
  sessions: ({ idleSessions }) => idleSessions + 20,
  run: async (stage, size) => {
    await using fresh = await stage.anotherGateway()
    const between = [...stage.arms.filter(({ name }) => name === 'pgbouncer'), fresh.arm]
    const samples: Record<string, readonly number[]> = {}
    for (const arm of between) samples[arm.name] = [await memoryEach(arm, size.idleSessions)]
    return [
      {
        name: 'idle-memory',
        title: `Memory for each of ${size.idleSessions} idle sessions`,
        unit: 'KB',
        better: 'lower',
        rivals: ['pgbouncer'],
        arms: samples,
      },
    ]
  },
}

/** In KB. Some sessions come and go before, so that what is needed once is not counted. */
async function memoryEach(arm: Arm, sessions: number): Promise<number> {
  await closeClients(await openClients(arm, 8))
  await sleep(REST_MS)
  const before = residentMemory(arm.pid!) ?? Number.NaN
  const clients = await openClients(arm, sessions)
  await sleep(REST_MS)
  const after = residentMemory(arm.pid!) ?? Number.NaN
  await closeClients(clients)
  return (after - before) / sessions
}

if (import.meta.main) await runFigures([idle], process.argv.slice(2))
