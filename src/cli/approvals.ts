import { Argument, Option, type Command } from 'commander'
import { ApprovalStateShape } from '../admin/shapes.ts'
import { ApprovalList, ApprovalShape, approvalTable, card } from './approval-card.ts'
import {
  connect,
  printAll,
  processTerminal,
  read,
  withGatewayOptions,
  type GatewayOptions,
  type Terminal,
} from './terminal.ts'

type Options = GatewayOptions & { readonly state?: string }

const EXAMPLES = `
Examples:
  sallyport approvals --state pending      what waits for an answer
  sallyport approvals apr_0190f6a2-…       the whole card of one
  sallyport approvals --json | jq .text`

/** `sallyport approvals [ID]`. */
export function addApprovals(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('approvals')
    .description('list the approvals you may see, the newest first, or show one')
    .addArgument(new Argument('[id]', 'one approval, as a card'))
    .addOption(new Option('--state <state>', 'only those in this state').choices(ApprovalStateShape.options))
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action(async (id: string | undefined, options: Options) => {
    await (id === undefined ? list(options, terminal) : show(id, options, terminal))
  })
}

async function list(options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const query = options.state === undefined ? '' : `?state=${options.state}`
  const found = read(await gateway.get(`/api/v1/approvals${query}`), ApprovalList, terminal)
  if (found === undefined) return
  printAll(found.approvals, approvalTable, options, terminal)
}

async function show(id: string, options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const approval = read(await gateway.get(`/api/v1/approvals/${encodeURIComponent(id)}`), ApprovalShape, terminal)
  if (approval === undefined) return
  const lines = options.json ? [JSON.stringify(approval)] : card(approval, terminal.columns)
  lines.forEach(terminal.print)
}
