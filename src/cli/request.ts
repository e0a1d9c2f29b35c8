import type { Command } from 'commander'
import type * as z from 'zod'
import { GivenGrantShape } from '../admin/grant-shapes.ts'
import { printable } from '../gateway/printable.ts'
import { connect, processTerminal, read, withGatewayOptions, type GatewayOptions, type Terminal } from './terminal.ts'

type Options = GatewayOptions & { readonly purpose: string; readonly for?: string; readonly operations?: string }
type Given = z.infer<typeof GivenGrantShape>

const EXAMPLES = `
Examples:
  sallyport request orders --purpose "why order 17 was not sent" --for 15m
  sallyport request orders --purpose "report" --operations read,session    no writes, whatever policy permits
  sallyport request billing --purpose "refund 4711" --json | jq -r .password

The password is shown once. Drivers that begin transactions need the operations of \`session\`.`

/** `sallyport request TARGET`. */
export function addRequest(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('request')
    .description('ask for a grant: a user and a password for one target, for a while')
    .argument('<target>', 'the name of the target')
    .requiredOption('--purpose <text>', 'what it is for: kept in the record')
    .option('--for <time>', 'how long: 90s, 15m, 1h; as long as policy lets you, unless said')
    .option('--operations <names>', 'only these actions or groups of actions, with commas between them')
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action((target: string, options: Options) => request(target, options, terminal))
}

async function request(target: string, options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const { purpose, for: time } = options
  const operations = options.operations?.split(',').map((name) => name.trim())
  const body = { target, purpose, ...(time !== undefined && { for: time }), ...(operations && { operations }) }
  const given = read(await gateway.post('/api/v1/grants', body), GivenGrantShape, terminal)
  if (given === undefined) return
  const lines = options.json ? [JSON.stringify(given)] : howTo(given).map(printable)
  lines.forEach(terminal.print)
}

function howTo(given: Given): readonly string[] {
  const { id, target, expires_at: end, operations } = given
  return [
    `Grant ${id} for ${target} until ${end}${operations ? `, only for ${operations.join(', ')}` : ''}.`,
    '',
    `  ${example(given)}`,
    '',
    `The password is not shown again. To end it before: sallyport revoke ${id}`,
  ]
}

function example({ user, password, connect: to }: Given): string {
  if (to.protocol === 'http') return `curl -H "Authorization: Bearer ${user}.${password}" ${to.url}/`
  const { host, port, dbname } = to
  return `PGPASSWORD=${password} psql "host=${host} port=${port} user=${user} dbname=${dbname} sslmode=require"`
}
