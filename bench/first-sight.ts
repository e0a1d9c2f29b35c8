import { join } from 'node:path'
import type { Figure, Table } from './figure.ts'
import { percentile } from './report/statistics.ts'
import { runFigures } from './run.ts'
import { DATABASE } from './stage/database.ts'
import type { Stage } from './stage/stage.ts'
import type { Identity, Operation, Touch } from '../src/gateway/domain.ts'
import { loadPolicies } from '../src/policy/load-policies.ts'
import type { Policy } from '../src/policy/policy.ts'
import { readCatalog } from '../src/protocols/postgres/catalog.ts'
import type { SqlReader } from '../src/sql/reader.ts'
import { startSqlReader } from '../src/sql/worker-reader.ts'

const SENSITIVE = { pii: ['public.customers.email'], card: ['public.customers.card'] }
const ASKING: Identity = {
  kind: 'Agent',
  provider: 'local',
  subject: 'bench',
  groups: ['data-agents'],
  expiresAt: Number.MAX_SAFE_INTEGER,
}

/** Texts that no other sample has: `number` never comes twice. */
const TEXTS = {
  'new text': (number: number) => joined(`a${number}`, 1),
  'new literal': (number: number) => joined('a', number),
  'new question': (number: number) => `SET application_name = 'bench ${number}'`,
  'seen before': () => joined('a', 0),
} as const

/** The part of a statement's way that depends on its text, without the network: reading and deciding, in this process. */
export const firstSight: Figure = {
  name: 'first-sight',
  about:
    'reading a statement and deciding on it: its text new, only its literals new, a question new to policy, seen before',
  run: async (stage, size) => {
    await using reader = await openReader(stage)
    const policy = loadPolicies(join(import.meta.dirname, '../examples/policies'), {
      targets: [{ name: DATABASE, labels: { env: 'bench' } }],
    })
    const samples = new Map<string, (readonly number[])[]>(Object.keys(TEXTS).map((kind) => [kind, []]))
    for (let round = 0; round <= size.rounds; round++) {
      for (const [kind, text] of Object.entries(TEXTS)) {
        const numbers = Array.from({ length: size.repeats }, (_, turn) => round * size.repeats + turn)
        const times = await timesOf(reader, policy, numbers.map(text))
        if (round > 0) samples.get(kind)!.push(times) // the first round warms up
      }
    }
    return [tableOf(samples, 0.5), tableOf(samples, 0.99)]
  },
}

function joined(alias: string, literal: number): string {
  return `SELECT ${alias}.aid, ${alias}.abalance, b.bbalance FROM pgbench_accounts ${alias} JOIN pgbench_branches b
    USING (bid) WHERE ${alias}.aid = ${literal} AND b.bbalance > -1 ORDER BY ${alias}.aid LIMIT 10`
}

async function openReader({ database }: Stage): Promise<SqlReader> {
  const reader = startSqlReader()
  const { catalog } = await readCatalog(database.query, SENSITIVE)
  reader.learn(DATABASE, catalog)
  return reader
}

/** Of each text, in µs. */
async function timesOf(reader: SqlReader, policy: Policy, texts: readonly string[]): Promise<readonly number[]> {
  const times: number[] = []
  for (const text of texts) {
    const start = performance.now()
    const reading = await reader.read({ text, target: DATABASE, searchPath: ['public'], hidden: ['pii', 'card'] })
    if (!('statements' in reading)) throw new Error(`${text}: ${reading.objection.message}`)
    const decision = policy.decide(ASKING, operation(text, reading.statements[0]!.touches))
    times.push((performance.now() - start) * 1000)
    if (decision.verdict !== 'allow') throw new Error(`${text}: ${decision.verdict}`)
  }
  return times
}

function operation(text: string, touches: readonly Touch[]): Operation {
  const [first, ...others] = touches
  return {
    id: 'op_bench',
    stage: 'execute',
    touches: [first!, ...others],
    text,
    digest: '',
    effect: 'none',
    inTransaction: false,
  }
}

function tableOf(samples: ReadonlyMap<string, readonly (readonly number[])[]>, share: number): Table {
  const arms = [...samples].map(([kind, rounds]) => [kind, rounds.map((times) => percentile(times, share))] as const)
  return {
    name: `first-sight-p${share * 100}`,
    title: `Read and decide, p${share * 100}`,
    unit: 'µs',
    better: 'lower',
    rivals: ['seen before'],
    arms: Object.fromEntries(arms),
  }
}

if (import.meta.main) await runFigures([firstSight], process.argv.slice(2))
