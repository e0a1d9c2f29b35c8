import type { Command } from 'commander'
import { ApprovalShape, card } from './approval-card.ts'
import { connect, read, withGatewayOptions, type GatewayOptions, type Terminal } from './terminal.ts'

type Options = GatewayOptions & { readonly reason?: string }

/** What differs between the two commands. */
export type VoteCommand = {
  readonly vote: 'approve' | 'reject'
  readonly description: string
  readonly examples: string
}

export function addVote(program: Command, { vote, description, examples }: VoteCommand, terminal: Terminal): void {
  const command = program
    .command(vote)
    .description(description)
    .argument('<id>', 'the approval, apr_…')
    .option('--reason <text>', 'kept in the record; the requester sees why it was rejected')
    .addHelpText('after', examples)
  withGatewayOptions(command).action((id: string, options: Options) => cast(vote, id, options, terminal))
}

/** What is voted on is printed whole before the vote is cast; an approval never changes once it is made. */
async function cast(vote: 'approve' | 'reject', id: string, options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const path = `/api/v1/approvals/${encodeURIComponent(id)}`
  const approval = read(await gateway.get(path), ApprovalShape, terminal)
  if (approval === undefined) return
  if (!options.json) card(approval, terminal.columns).forEach(terminal.print)
  const body = options.reason === undefined ? {} : { reason: options.reason }
  const after = read(await gateway.post(`${path}/${vote}`, body), ApprovalShape, terminal)
  if (after === undefined) return
  terminal.print(options.json ? JSON.stringify(after) : outcome(vote, after))
}

function outcome(vote: 'approve' | 'reject', { state }: { readonly state: string }): string {
  if (vote === 'reject') return '\nRejected.'
  return state === 'approved' ? '\nApproved: it may run once.' : '\nYour vote counts; others are still needed.'
}
