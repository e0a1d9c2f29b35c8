import type { Figure, Table } from './figure.ts'
import { runFigures } from './run.ts'
import { interleave, mapArms } from './stage/arms.ts'
import { runPgbench, type PgbenchRun } from './stage/pgbench-program.ts'
import { cpuTime } from './stage/processes.ts'

const CLIENTS = 8
/** Until the code that runs most is compiled. */
const WARM_UP_S = 3

/** Throughput, and in the same runs the CPU time of the process in between. */
export const pgbench: Figure = {
  name: 'pgbench',
  about: `pgbench -S with ${CLIENTS} clients: statements a second, and CPU time for each in the process in between`,
  run: async (stage, size) => {
    const { pgbench } = stage
    if (!pgbench) return []
    const tables: Table[] = []
    for (const mode of ['simple', 'prepared'] as const) {
      const run: PgbenchRun = { mode, clients: CLIENTS, seconds: size.seconds }
      for (const arm of stage.arms) await runPgbench(pgbench, arm, { ...run, seconds: WARM_UP_S }, stage.directory)
      const samples = await interleave(stage.arms, size.rounds, async (arm) => {
        const before = cpu(arm.pid)
        const { tps, transactions } = await runPgbench(pgbench, arm, run, stage.directory)
        return { tps, cpu: (cpu(arm.pid) - before) / transactions }
      })
      const between = Object.fromEntries(Object.entries(samples).filter(([arm]) => arm !== 'direct'))
      const title = `pgbench -S -M ${mode} -c ${CLIENTS}`
      tables.push(
        {
          name: `pgbench-${mode}`,
          title,
          unit: 'tps',
          better: 'higher',
          rivals: ['direct', 'pgbouncer'],
          arms: mapArms(samples, ({ tps }) => tps),
        },
        {
          name: `cpu-${mode}`,
          title: `${title}, CPU of the process in between`,
          unit: 'µs a statement',
          better: 'lower',
          rivals: ['pgbouncer'],
          arms: mapArms(between, ({ cpu }) => cpu),
        },
      )
    }
    return tables
  },
}

function cpu(pid: number | undefined): number {
  return pid === undefined ? 0 : (cpuTime(pid) ?? Number.NaN)
}

if (import.meta.main) await runFigures([pgbench], process.argv.slice(2))
