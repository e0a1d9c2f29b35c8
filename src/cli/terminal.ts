import type { Command } from 'commander'
import * as z from 'zod'
import { Fault } from '../gateway/fault.ts'
import { findGateway } from './gateway-address.ts'
import { gatewayClient, type Answer, type GatewayClient, type Refused } from './gateway-client.ts'
import { printable } from '../gateway/printable.ts'

/** What a command sees of the process it runs in. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly columns: number
  readonly print: (line: string) => void
  readonly complain: (line: string) => void
  /** The command was refused: the process ends with 1. */
  readonly fail: () => void
}

export const processTerminal: Terminal = {
  env: process.env,
  get columns() {
    return process.stdout.columns ?? 100
  },
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
  fail: () => {
    process.exitCode = 1
  },
}

/** The options of every command that talks to a gateway. */
export type GatewayOptions = { readonly config?: string; readonly json?: boolean }

export function withGatewayOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the config of the gateway (or SALLYPORT_CONFIG, or SALLYPORT_URL)')
    .option('--json', 'one JSON object a line')
}

/** The gateway, as the one whom SALLYPORT_TOKEN stands for. */
export async function connect(options: GatewayOptions, { env }: Terminal): Promise<GatewayClient> {
  const address = await findGateway(options.config, env)
  const token = env['SALLYPORT_TOKEN']?.trim()
  if (!token) throw new Fault('usage', 'Put your token into SALLYPORT_TOKEN.')
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Fault('usage', 'SALLYPORT_TOKEN is not a token.')
  return gatewayClient(address, token)
}

/** The body of an answer as `shape` says; undefined when it was refused, which is said and fails the command. */
export function read<T>(answer: Answer, shape: z.ZodType<T>, terminal: Terminal): T | undefined {
  if ('refused' in answer) return complain(answer.refused, terminal)
  const result = shape.safeParse(answer.body)
  if (result.success) return result.data
  throw new Fault('closed', `The gateway's answer is not as expected: ${z.prettifyError(result.error)}`)
}

function complain({ message, remedy }: Refused, terminal: Terminal): undefined {
  terminal.complain(printable(message))
  for (const { hint, command } of remedy) terminal.complain(`  ${printable(hint ?? command ?? '')}`)
  terminal.fail()
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows.reduce<readonly number[]>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    [],
  )
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** With `--json` one object a line, else as a table. */
export function printAll<T>(
  all: readonly T[],
  tableOf: (all: readonly T[]) => readonly string[],
  { json }: GatewayOptions,
  { print }: Terminal,
): void {
  const lines = json ? all.map((one) => JSON.stringify(one)) : tableOf(all)
  lines.forEach(print)
}
