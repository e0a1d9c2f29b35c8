import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Figure, Size, Table } from './figure.ts'
import { runFigures } from './run.ts'
import type { Arm } from './stage/arms.ts'
import { closeClients, openClients } from './stage/client.ts'
import type { Database } from './stage/database.ts'
import { residentMemory } from './stage/processes.ts'
import { percentile } from './report/statistics.ts'
import type { Stage } from './stage/stage.ts'

/** Until what opening or closing needed is let go of, in ms. */
const REST_MS = 5_000
/** For roles to go, in s. */
const PATIENCE_S = 300
const QUERY = 'SELECT abalance FROM pgbench_accounts WHERE aid = $1'
const ACCOUNTS = 100_000

type Single = Pick<Table, 'name' | 'title' | 'unit' | 'better'> & { readonly value: number }

/** Many sessions at once through one gateway that has had none before: measured once. */
export const scale: Figure = {
  name: 'scale',
  about:
    'many sessions at once: how long opening them takes, what they cost, what the active ones get, what they leave',
  sessions: ({ scale }) => scale.idle + scale.active + 20,
  run: async (stage, size) => {
    await using fresh = await stage.anotherGateway()
    const crowd = await measureCrowd(fresh.arm, stage, size)
    const churn = await measureChurn(fresh.arm, stage, size)
    return [...crowd, ...churn].map(({ value, ...about }) => ({ ...about, rivals: [], arms: { gateway: [value] } }))
  },
}

/** Idle sessions, then active ones beside them. */
async function measureCrowd(
  arm: Arm,
  stage: Stage,
  { seconds, scale: { idle, active } }: Size,
): Promise<readonly Single[]> {
  await closeClients(await openClients(arm, 50))
  await settle(stage.database, 0)
  const before = memory(arm)
  const start = performance.now()
  const idlers = await openClients(arm, idle)
  const opening = (performance.now() - start) / 1000
  await sleep(REST_MS)
  const each = (memory(arm) - before) / idle
  const workers = await openClients(arm, active)
  const alone = await work(workers, seconds)
  await closeClients(idlers)
  const closing = await settle(stage.database, active)
  const without = await work(workers, seconds)
  await closeClients(workers)
  await settle(stage.database, 0)
  const beside = `${active} active sessions beside ${idle} idle ones`
  return [
    { name: 'scale-open', title: `${idle} sessions opened, 8 at a time`, unit: 's', better: 'lower', value: opening },
    { name: 'scale-close', title: `${idle} sessions left at once: until the last role is gone`, unit: 's', better: 'lower', value: closing },
    { name: 'scale-memory', title: `Memory for each of ${idle} idle sessions`, unit: 'KB', better: 'lower', value: each },
    { name: 'scale-throughput', title: `${beside}, all together`, unit: 'statements a second', better: 'higher', value: alone.perSecond },
    { name: 'scale-latency', title: `${beside}, p50 of a statement`, unit: 'ms', better: 'lower', value: alone.p50 },
    { name: 'scale-throughput-alone', title: `${active} active sessions alone`, unit: 'statements a second', better: 'higher', value: without.perSecond },
  ] // prettier-ignore
}

/** Each client asks again as soon as it has its answer. */
async function work(clients: readonly Client[], seconds: number): Promise<{ perSecond: number; p50: number }> {
  const times: number[] = []
  const start = performance.now()
  const until = start + seconds * 1000
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < until) {
        const asked = performance.now()
        await client.query(QUERY, [1 + Math.floor(Math.random() * ACCOUNTS)])
        times.push(performance.now() - asked)
      }
    }),
  )
  return { perSecond: (times.length * 1000) / (performance.now() - start), p50: percentile(times, 0.5) }
}

/** Sessions that come and go, 50 at a time, once to warm up and once to be measured. */
async function measureChurn(arm: Arm, stage: Stage, { scale: { churn } }: Size): Promise<readonly Single[]> {
  const wave = async (): Promise<void> => {
    for (let count = 0; count < churn; count += 50) await closeClients(await openClients(arm, 50))
    await settle(stage.database, 0)
  }
  await wave()
  const before = { memory: memory(arm), descriptors: descriptors(arm) }
  await wave()
  const left = await roles(stage.database)
  const title = `After ${churn} sessions opened and closed`
  const rest = { better: 'lower' } as const
  return [
    { ...rest, name: 'scale-left-roles', title: `${title}: roles left`, unit: 'roles', value: left },
    { ...rest, name: 'scale-left-sockets', title: `${title}: descriptors more`, unit: 'descriptors', value: descriptors(arm) - before.descriptors },
    { ...rest, name: 'scale-left-memory', title: `${title}: memory more`, unit: 'KB', value: memory(arm) - before.memory },
  ] // prettier-ignore
}

function memory({ pid }: Arm): number {
  return residentMemory(pid!) ?? Number.NaN
}

function descriptors({ pid }: Arm): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Waits until no more than so many roles are left, or no fewer will be, and a little more; how long that took, in s. */
async function settle(database: Database, wanted: number): Promise<number> {
  const start = performance.now()
  const passed = (): number => (performance.now() - start) / 1000
  while ((await roles(database)) > wanted && passed() < PATIENCE_S) await sleep(100)
  const took = passed()
  await sleep(REST_MS)
  return took
}

async function roles({ query }: Database): Promise<number> {
  const [row] = await query(`SELECT count(*)::int AS count FROM pg_roles WHERE rolname LIKE 'sp\\_%'`)
  return Number(row!.count)
}

if (import.meta.main) await runFigures([scale], process.argv.slice(2))
