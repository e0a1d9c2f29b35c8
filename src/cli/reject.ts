import type { Command } from 'commander'
import { processTerminal, type Terminal } from './terminal.ts'
import { addVote } from './vote.ts'

const examples = `
Examples:
  sallyport reject apr_0190f6a2-… --reason "name the rows: WHERE id = …"`

/** `sallyport reject ID`. */
export function addReject(program: Command, terminal: Terminal = processTerminal): void {
  addVote(program, { vote: 'reject', description: 'print a held operation whole, and reject it', examples }, terminal)
}
