import type { Command } from 'commander'
import { GrantShape } from '../admin/grant-shapes.ts'
import { printable } from '../gateway/printable.ts'
import { connect, processTerminal, read, withGatewayOptions, type GatewayOptions, type Terminal } from './terminal.ts'

const EXAMPLES = `
Examples:
  sallyport revoke grt_0190f6a2-…`

/** `sallyport revoke ID`. */
export function addRevoke(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('revoke')
    .description('end a grant, and every session that came in with it, at once (your own; any, for operators)')
    .argument('<id>', 'the grant, grt_…')
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action((id: string, options: GatewayOptions) => revoke(id, options, terminal))
}

async function revoke(id: string, options: GatewayOptions, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const grant = read(await gateway.delete(`/api/v1/grants/${encodeURIComponent(id)}`), GrantShape, terminal)
  if (grant === undefined) return
  terminal.print(
    options.json ? JSON.stringify(grant) : printable(`Grant ${grant.id} has ended: ${grant.reason ?? ''}.`),
  )
}
