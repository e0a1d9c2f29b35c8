import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Client } from 'pg'

/** How a run of the real command ended. */
export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** A gateway that is a process of its own: `sallyport serve`. Disposing it kills it. */
export interface Serving extends AsyncDisposable {
  readonly pid: number
  readonly postgres: number
  readonly admin: number
  /** All it has said so far. */
  readonly said: () => { readonly stdout: string; readonly stderr: string }
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

const PROGRAM = join(import.meta.dirname, '..', 'bin', 'sallyport')

type Child = ChildProcessByStdio<null, Readable, Readable>

/** Runs the command to its end. */
export function sallyport(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return follow(start(args, environment)).ended
}

/** Starts a gateway; resolves when it says that it is ready. Rejects with what it said when it ends before. */
export async function serve(config: string, environment: NodeJS.ProcessEnv = {}): Promise<Serving> {
  const child = start(['serve', '--config', config], environment)
  const { said, ended } = follow(child)
  const ready = await Promise.race([heard(child, said), ended])
  if ('code' in ready) throw new Error(`the gateway ended with ${ready.code}: ${ready.stderr}`)
  return {
    pid: child.pid!,
    ...ready,
    said,
    ended,
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** A connected client of a gateway's postgres listener. */
export async function connectTo(port: number, password: string): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port, user: 'agent', database: 'orders', password })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** A token made by the real command, for an agent of the group data-agents unless said otherwise. */
export async function createToken(config: string, ...request: readonly string[]): Promise<string> {
  const whom = request.length > 0 ? request : ['--agent', 'report-bot', '--group', 'data-agents']
  const { code, stdout, stderr } = await sallyport(['token', 'create', '--config', config, ...whom])
  if (code !== 0) throw new Error(`no token: ${stderr}`)
  return stdout.trim()
}

function start(args: readonly string[], environment: NodeJS.ProcessEnv): Child {
  const { PATH } = process.env
  return spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, ...environment } })
}

function follow(child: Child): { readonly said: Serving['said']; readonly ended: Promise<Ended> } {
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => (said[name] += chunk))
  }
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...said }))
  return { said: () => ({ ...said }), ended }
}

function heard(child: Child, said: Serving['said']): Promise<{ readonly postgres: number; readonly admin: number }> {
  const { promise, resolve } = Promise.withResolvers<{ postgres: number; admin: number }>()
  child.stdout.on('data', () => {
    const [, postgres, admin] = /ready: postgres on \S+:(\d+), admin on \S+:(\d+)/.exec(said().stdout) ?? []
    if (postgres && admin) resolve({ postgres: Number(postgres), admin: Number(admin) })
  })
  return promise
}
