import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'

/** What the figures were measured on. */
export type Machine = {
  readonly cpu: string
  readonly cores: number
  readonly memory_gb: number
  readonly kernel: string
  readonly node: string
  readonly postgresql: string
  readonly pgbouncer: string
  readonly pgbench: string
  /** 1-minute load average before the run: what else the machine was doing. */
  readonly load: number
}

export function describeMachine(
  versions: Pick<Machine, 'postgresql' | 'pgbouncer' | 'pgbench'>,
  load: number,
): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    ...versions,
    load: Number(load.toFixed(2)),
  }
}

/** Short hash of the commit, with `+` when files differ from it; `unknown` outside a checkout. */
export function commit(directory: string): string {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['--no-optional-locks', ...args], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('diff', '--name-only', 'HEAD', '--', 'src') === '' ? '' : '+')
  } catch {
    return 'unknown'
  }
}
