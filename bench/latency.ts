import type { Figure, Table } from './figure.ts'
import { percentile } from './report/statistics.ts'
import { runFigures } from './run.ts'
import { interleave } from './stage/arms.ts'
import { runPgbench } from './stage/pgbench-program.ts'

type Samples = Readonly<Record<string, readonly { readonly p50: number; readonly p99: number }[]>>

/** One client alone: what a statement takes, and how much of that the process in between has added. */
export const latency: Figure = {
  name: 'latency',
  about: 'pgbench -S with 1 client: time of a statement, and what the process in between adds to a direct connection',
  run: async (stage, size) => {
    const { pgbench } = stage
    if (!pgbench) return []
    const tables: Table[] = []
    for (const mode of ['simple', 'prepared'] as const) {
      const run = { mode, clients: 1, seconds: size.seconds, latencies: true }
      const samples = await interleave(stage.arms, size.rounds, async (arm) => {
        const { latencies } = await runPgbench(pgbench, arm, run, stage.directory)
        return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
      })
      tables.push(...(['p50', 'p99'] as const).flatMap((which) => tablesOf(samples, mode, which)))
    }
    return tables
  },
}

function tablesOf(samples: Samples, mode: string, which: 'p50' | 'p99'): readonly Table[] {
  const { direct = [], ...others } = samples
  const title = `1 client, -M ${mode}, ${which}`
  const times = Object.entries(samples).map(([arm, all]) => [arm, all.map((sample) => sample[which])] as const)
  const added = Object.entries(others).map(
    ([arm, all]) => [arm, all.map((sample, round) => sample[which] - direct[round]![which])] as const,
  )
  const rest = { unit: 'µs', better: 'lower' } as const
  return [
    {
      ...rest,
      name: `latency-${mode}-${which}`,
      title,
      rivals: ['direct', 'pgbouncer'],
      arms: Object.fromEntries(times),
    },
    {
      ...rest,
      name: `added-${mode}-${which}`,
      title: `${title}, added to direct`,
      rivals: ['pgbouncer'],
      arms: Object.fromEntries(added),
    },
  ]
}

if (import.meta.main) await runFigures([latency], process.argv.slice(2))
