import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Serving } from '../../test/command.ts'
import type { Arm } from './arms.ts'
import { CLIENT, openDatabase, type Database } from './database.ts'
import { startGateway, type BenchGateway } from './gateway.ts'
import { findPgbench, type Pgbench } from './pgbench-program.ts'
import { startPgbouncer } from './pgbouncer.ts'

/** One PostgreSQL and every way to it, on this machine. */
export interface Stage extends AsyncDisposable {
  readonly directory: string
  readonly database: Database
  readonly gateway: Serving
  /** Starts another one, which has had no session yet; it stands in the arm given back. */
  anotherGateway(): Promise<AsyncDisposable & { readonly arm: Arm }>
  readonly pgbench: Pgbench | undefined
  /** direct, pgbouncer if it is installed, gateway. */
  readonly arms: readonly Arm[]
  readonly versions: { readonly postgresql: string; readonly pgbouncer: string; readonly pgbench: string }
}

export type StageOptions = {
  /** In the wide table. */
  readonly rows: number
  /** How many clients there may be at once on one arm. */
  readonly sessions: number
  /** Told what is left out, and why. */
  readonly note: (line: string) => void
  /** Of the gateway's process. */
  readonly environment?: NodeJS.ProcessEnv
}

export async function openStage({ rows, sessions, note, environment }: StageOptions): Promise<Stage> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  const database = starting.use(await openDatabase(rows, 3 * sessions + 20))
  const { postgres } = database
  await mkdir(join(directory, 'pgbouncer'))
  const pgbouncer = await startPgbouncer(join(directory, 'pgbouncer'), postgres.port, sessions)
  if (pgbouncer) starting.use(pgbouncer)
  else note('pgbouncer is not installed (Debian package pgbouncer): its arm is left out')
  const pgbench = findPgbench()
  if (!pgbench) note('pgbench is not installed (Debian package postgresql-15): its figures are left out')
  const gateway = starting.use(await startGateway(join(directory, 'gateway'), postgres, environment))
  const parts = starting.move()
  return {
    directory,
    database,
    gateway: gateway.serving,
    anotherGateway: async () => {
      const another = await startGateway(await mkdtemp(join(directory, 'gateway-')), postgres, environment)
      return { arm: gatewayArm(another), [Symbol.asyncDispose]: () => another[Symbol.asyncDispose]() }
    },
    pgbench,
    arms: [
      { name: 'direct', port: postgres.port, ...CLIENT },
      ...(pgbouncer ? [{ name: 'pgbouncer', port: pgbouncer.port, pid: pgbouncer.pid, ...CLIENT } as const] : []),
      gatewayArm(gateway),
    ],
    versions: {
      postgresql: database.version,
      pgbouncer: pgbouncer?.version ?? 'not installed',
      pgbench: pgbench?.version ?? 'not installed',
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

function gatewayArm({ serving, token }: BenchGateway): Arm {
  return { name: 'gateway', port: serving.postgres, user: 'agent', password: token, pid: serving.pid }
}
