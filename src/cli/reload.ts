import type { Command } from 'commander'
import { ConfigShape } from '../admin/shapes.ts'
import { printable } from '../gateway/printable.ts'
import { connect, processTerminal, read, withGatewayOptions, type GatewayOptions, type Terminal } from './terminal.ts'

const EXAMPLES = `
Examples:
  sallyport reload --config sallyport.yaml

The gateway notices changed files by itself; this waits for it and says how it went. Its exit code is 1 when it was refused.`

/** `sallyport reload`. */
export function addReload(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('reload')
    .description('put the config and the policies into force as the files are now (operators)')
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action((options: GatewayOptions) => reload(options, terminal))
}

async function reload(options: GatewayOptions, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const status = read(await gateway.post('/api/v1/config/reload', {}), ConfigShape, terminal)
  if (status === undefined) return
  const { policy, changed, refused } = status
  if (options.json) terminal.print(JSON.stringify(status))
  else if (refused) refused.errors.forEach((error) => terminal.complain(printable(error)))
  else terminal.print(`reloaded: ${changed.map(printable).join(', ') || 'nothing has changed'}; policies ${policy}`)
  if (refused) terminal.fail()
}
