import type { Command } from 'commander'
import { processTerminal, type Terminal } from './terminal.ts'
import { addVote } from './vote.ts'

const examples = `
Examples:
  sallyport approve apr_0190f6a2-…
  sallyport approve apr_0190f6a2-… --reason "ticket 4711"`

/** `sallyport approve ID`. */
export function addApprove(program: Command, terminal: Terminal = processTerminal): void {
  addVote(program, { vote: 'approve', description: 'print a held operation whole, and approve it', examples }, terminal)
}
