import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tokenFile, type Actor, type Demo } from './start.ts'
import type { Story } from './story.ts'

/** What a command printed, on both its outputs, and its exit code. */
export type Ran = { readonly code: number; readonly output: string }

/** The directory of the command `sallyport`, for PATH. */
export const BIN = join(import.meta.dirname, '../bin')

/** Runs `sallyport` as somebody would in a shell: their token and the config in its environment. */
export async function sallyport(demo: Demo, actor: Actor, args: readonly string[]): Promise<Ran> {
  const child = spawn(join(BIN, 'sallyport'), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      SALLYPORT_CONFIG: demo.gateway.config,
      SALLYPORT_TOKEN: await readFile(tokenFile(demo.directory, actor), 'utf8'),
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code: code ?? -1, output }
}

/** Runs a command, and shows it and what it prints: all of it, or the last lines only. */
export async function command(
  demo: Demo,
  story: Story,
  actor: Actor,
  args: readonly string[],
  lines = Number.POSITIVE_INFINITY,
): Promise<Ran> {
  story.types(`${actor}$`, `sallyport ${args.join(' ')}`)
  const ran = await sallyport(demo, actor, args)
  const printed = ran.output.trimEnd().split('\n')
  story.output(printed.length > lines ? ['…', ...printed.slice(-lines)].join('\n') : ran.output)
  return ran
}
