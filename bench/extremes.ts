import { setTimeout as sleep } from 'node:timers/promises'
import { bind, execute, parse, sync } from '../test/client-messages.ts'
import { frame, str } from '../test/frames-builder.ts'
import { rawConnect } from '../test/raw-client.ts'
import type { Figure, Size, Table } from './figure.ts'
import { runFigures } from './run.ts'
import { mapArms, type Arm } from './stage/arms.ts'
import { DATABASE } from './stage/database.ts'
import { drain } from './stage/drain.ts'
import { residentMemory } from './stage/processes.ts'

const COLUMNS = 256
const CELL_BYTES = 64 * 1024 * 1024
const PREPARED = 10_000
/** How long a client reads nothing of a large answer, in ms. */
const SLOW_MS = 10_000

/** What is as large as it may be: wide rows, a large value, many statements, an answer that outgrows any memory. */
export const extremes: Figure = {
  name: 'extremes',
  about:
    'a result of 256 columns, a value of 64 MiB, 10,000 prepared statements, a long answer and one that nobody reads: time and memory',
  run: async (stage, size) => {
    const wide = await timed(stage.arms, wideRows(size.rows / 50), size.rows / 50)
    const cell = await timed(stage.arms, `SELECT repeat('x', ${CELL_BYTES})`, 1)
    await using fresh = await stage.anotherGateway()
    return [...wide, ...cell, ...(await remembered(fresh.arm, size))]
  },
}

function wideRows(rows: number): string {
  const columns = Array.from({ length: COLUMNS }, (_, place) => `g + ${place} AS c${place}`)
  return `SELECT ${columns.join(', ')} FROM generate_series(1, ${rows}) g`
}

async function timed(arms: readonly Arm[], sql: string, rows: number): Promise<readonly Table[]> {
  const samples: Record<string, number[]> = {}
  for (const arm of arms) {
    await drain(arm, sql, rows)
    samples[arm.name] = [(await drain(arm, sql, rows)).seconds]
  }
  const what = rows === 1 ? 'one value of 64 MiB' : `${rows.toLocaleString('en')} rows of ${COLUMNS} columns`
  const name = rows === 1 ? 'extremes-cell' : 'extremes-columns'
  const rivals = ['direct', 'pgbouncer']
  return [
    { name, title: `SELECT of ${what}`, unit: 's', better: 'lower', rivals, arms: mapArms(samples, (value) => value) },
  ]
}

/** How much memory the gateway has more, at most, while each of these goes on; in MiB. */
async function remembered(arm: Arm, { rows }: Size): Promise<readonly Table[]> {
  const many = rows * 10
  const series = `SELECT g, g + 1, md5(g::text) FROM generate_series(1, ${many}) g`
  const of = (name: string, title: string, value: number): Table => ({
    name: `extremes-${name}`,
    title: `Memory more, at most: ${title}`,
    unit: 'MiB',
    better: 'lower',
    rivals: [],
    arms: { gateway: [value] },
  })
  await drain(arm, `SELECT * FROM customers`, rows)
  return [
    of('long', `${many.toLocaleString('en')} rows`, await peak(arm, () => drain(arm, series, many))),
    of(
      'unread',
      `an answer of ${many.toLocaleString('en')} rows that is not read for ${SLOW_MS / 1000} s`,
      await peak(arm, () => unread(arm, series)),
    ),
    of(
      'prepared',
      `${PREPARED.toLocaleString('en')} prepared statements of one session`,
      await peak(arm, () => prepared(arm)),
    ),
  ]
}

async function peak(arm: Arm, work: () => Promise<unknown>): Promise<number> {
  const before = residentMemory(arm.pid!) ?? 0
  let most = before
  const over = new AbortController()
  const watching = (async () => {
    while (!over.signal.aborted) {
      most = Math.max(most, residentMemory(arm.pid!) ?? 0)
      await sleep(50)
    }
  })()
  await work()
  over.abort()
  await watching
  return (most - before) / 1024
}

async function unread(arm: Arm, sql: string): Promise<void> {
  const { port, user, password } = arm
  await using client = await rawConnect({ port, user, password, database: DATABASE })
  client.socket.pause()
  client.socket.write(frame('Q', str(sql)))
  await sleep(SLOW_MS)
}

async function prepared(arm: Arm): Promise<void> {
  const { port, user, password } = arm
  await using client = await rawConnect({ port, user, password, database: DATABASE })
  for (let place = 0; place < PREPARED; place += 100) {
    const some = Array.from({ length: 100 }, (_, i) => parse(`SELECT ${place + i} + $1::int AS n`, `s${place + i}`))
    client.send(...some, sync)
    await client.ready(1)
  }
  client.send(bind({ statement: `s${PREPARED - 1}`, values: ['1'] }), execute(), sync)
  await client.ready(1)
}

if (import.meta.main) await runFigures([extremes], process.argv.slice(2))
