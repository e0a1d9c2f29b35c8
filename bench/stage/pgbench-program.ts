import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Arm } from './arms.ts'
import { DATABASE } from './database.ts'

export type Pgbench = { readonly path: string; readonly version: string }

export type PgbenchRun = {
  readonly mode: 'simple' | 'prepared'
  readonly clients: number
  readonly seconds: number
  /** Keeps the latency of every transaction: a little slower. */
  readonly latencies?: boolean
}

export type PgbenchResult = {
  readonly transactions: number
  /** A second, the time to connect not counted. */
  readonly tps: number
  /** In µs; empty unless asked for. */
  readonly latencies: readonly number[]
}

const execute = promisify(execFile)

/** pgbench of the newest PostgreSQL installed; undefined when there is none. */
export function findPgbench(): Pgbench | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []
  const places = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  for (const path of places.map((place) => join(place, 'pgbench')).filter((path) => existsSync(path))) {
    const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
    // Debian's wrapper is there without the program, and fails.
    if (status === 0) return { path, version: stdout.trim() }
  }
  return undefined
}

/** `pgbench -S`: one SELECT by primary key over and over; the time it takes to connect counts as run time. Rejects when a statement fails. Connections are without TLS. */
export async function runPgbench(
  program: Pgbench,
  arm: Arm,
  run: PgbenchRun,
  directory: string,
): Promise<PgbenchResult> {
  const logs = await mkdtemp(join(directory, 'latencies-'))
  const where = ['-h', '127.0.0.1', '-p', String(arm.port), '-U', arm.user]
  const what = ['-S', '-n', '-M', run.mode, '-c', String(run.clients), '-j', '1', '-T', String(run.seconds)]
  const log = run.latencies ? ['--log', `--log-prefix=${join(logs, 'log')}`] : []
  try {
    const { stdout, stderr } = await execute(program.path, [...where, ...what, ...log, DATABASE], {
      env: { PATH: process.env.PATH, PGPASSWORD: arm.password, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
    })
    return { ...parse(arm, stdout + stderr), latencies: await readLatencies(logs) }
  } finally {
    await rm(logs, { recursive: true })
  }
}

function parse({ name }: Arm, said: string): { readonly transactions: number; readonly tps: number } {
  const transactions = Number(/^number of transactions actually processed: (\d+)/m.exec(said)?.[1])
  const tps = Number(/^tps = ([\d.]+)/m.exec(said)?.[1])
  if (!(transactions > 0) || !(tps > 0)) throw new Error(`pgbench did nothing on the arm ${name}:\n${said}`)
  return { transactions, tps }
}

/** Lines of the log: client, transaction, latency in µs, … */
async function readLatencies(directory: string): Promise<readonly number[]> {
  const files = await readdir(directory)
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))
  const lines = texts.flatMap((text) => text.trimEnd().split('\n'))
  return lines.map((line) => Number(line.split(' ')[2]))
}
