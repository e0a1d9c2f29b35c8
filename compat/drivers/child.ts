import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** How a program of a suite ended. `code` is null when it had to be killed. */
export type Ended = { readonly code: number | null; readonly output: string }

/** Runs this Node with `args` in `cwd`; kills it after `ms`. */
export async function runNode(
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>>,
  ms: number,
): Promise<Ended> {
  const { PATH, HOME, USER = 'postgres' } = process.env
  const env = { PATH, HOME, USER, ...environment }
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  const late = setTimeout(() => child.kill('SIGKILL'), ms)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(late)
  return { code, output: code === null ? `${output}\nnot over after ${ms / 1_000} s` : output }
}
