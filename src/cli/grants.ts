import type { Command } from 'commander'
import * as z from 'zod'
import { GrantShape, type GrantJson } from '../admin/grant-shapes.ts'
import { printable, shortened } from '../gateway/printable.ts'
import {
  connect,
  printAll,
  processTerminal,
  read,
  table,
  withGatewayOptions,
  type GatewayOptions,
  type Terminal,
} from './terminal.ts'

type Options = GatewayOptions & { readonly all?: boolean; readonly live?: boolean }

const GrantList = z.object({ grants: z.array(GrantShape) })

const EXAMPLES = `
Examples:
  sallyport grants --live
  sallyport grants --all --json | jq -r .purpose`

/** `sallyport grants`. */
export function addGrants(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('grants')
    .description('list the grants that were asked for, the newest first: your own')
    .option('--all', 'those of everybody (operators and auditors)')
    .option('--live', 'only those that have not ended')
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action((options: Options) => list(options, terminal))
}

async function list(options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const query = new URLSearchParams({ ...(options.all && { all: 'true' }), ...(options.live && { live: 'true' }) })
  const found = read(await gateway.get(`/api/v1/grants?${query.toString()}`), GrantList, terminal)
  if (found === undefined) return
  printAll(found.grants, grantTable, options, terminal)
}

function grantTable(grants: readonly GrantJson[]): readonly string[] {
  const rows = grants.map(({ id, state, reason, expires_at: end, target, identity, purpose, operations }) => [
    printable(id),
    state === 'live' ? 'live' : shortened(reason ?? 'ended', 30),
    printable(end),
    printable(target),
    shortened(identity.id, 40),
    shortened(operations?.join(',') ?? 'all', 30),
    shortened(purpose, 60),
  ])
  return table([['ID', 'STATE', 'EXPIRES', 'TARGET', 'IDENTITY', 'OPERATIONS', 'PURPOSE'], ...rows])
}
