import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import type { Folders } from './folders.ts'

/** How psql comes to the database of this name. */
export type Door = {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly folders: Folders
}

export type Printed = { readonly file: string; readonly ms: number }

/** A script that takes longer is ended, and what it printed so far counts. */
const MOST_MS = 300_000
/** As pg_regress calls it. */
const ARGUMENTS = ['-X', '-a', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on']

/** Runs a script with psql, or the program in PSQL, as pg_regress does; both streams go into one file. */
export async function runScript(script: string, door: Door, file: string): Promise<Printed> {
  await using input = await open(script)
  await using output = await open(file, 'w')
  const start = performance.now()
  const child = spawn(process.env.PSQL ?? 'psql', ARGUMENTS, {
    stdio: [input.fd, output.fd, output.fd],
    env: environment(door),
    timeout: MOST_MS,
    killSignal: 'SIGKILL',
  })
  await once(child, 'close')
  return { file, ms: performance.now() - start }
}

function environment({ port, user, password, database, folders }: Door): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    LC_ALL: 'C',
    HOME: '/nonexistent',
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
    PGTZ: 'America/Los_Angeles',
    PGDATESTYLE: 'Postgres, MDY',
    PG_ABS_SRCDIR: folders.source,
    PG_ABS_BUILDDIR: folders.build,
    PG_LIBDIR: '/nonexistent',
    PG_DLSUFFIX: '.so',
  }
}
