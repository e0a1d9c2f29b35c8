import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { without } from './both-ways.ts'

/** PostgreSQL's own client programs, of one version. */
export type Programs = {
  readonly name: string
  /** Directory of the server that they are tried with; the embedded PostgreSQL 18 unless given. */
  readonly server?: string
  readonly path: (program: string) => string
  /** Why tests with these are left out, or false. */
  readonly missing: (...programs: readonly string[]) => string | false
}

/** Debian keeps the programs of each version of the server apart; pg_dump asks for a server no newer than itself. */
export const DEBIAN: Programs = debian()

/** Those of PostgreSQL 18, where the variable POSTGRES18 names their directory or they are on PATH: packaged by few yet. */
export const POSTGRES18: Programs = postgres18()

function debian(): Programs {
  const server = newestOf('/usr/lib/postgresql')
  const path = (program: string): string => join(server, program)
  const missing = (...programs: readonly string[]): string | false =>
    without('PostgreSQL (Debian: postgresql)', ...programs.map(path))
  return { name: 'Debian', server, path, missing }
}

function postgres18(): Programs {
  const directory = process.env.POSTGRES18
  const path = (program: string): string => (directory === undefined ? program : join(directory, program))
  const missing = (...programs: readonly string[]): string | false => {
    const lacking = programs.find((program) => !isVersion18(path(program)))
    return lacking !== undefined && `${lacking} of PostgreSQL 18 is neither on PATH nor in the directory POSTGRES18`
  }
  return { name: 'PostgreSQL 18', path, missing }
}

function isVersion18(program: string): boolean {
  try {
    return / 18\b/.test(execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return false
  }
}

function newestOf(directory: string): string {
  if (!existsSync(directory)) return join(directory, 'bin')
  const [newest = ''] = readdirSync(directory).sort((one, other) => Number(other) - Number(one))
  return join(directory, newest, 'bin')
}
