import { Command, CommanderError } from 'commander'
import { addApprovals } from './cli/approvals.ts'
import { addApprove } from './cli/approve.ts'
import { addAudit } from './cli/audit.ts'
import { addCheck } from './cli/check.ts'
import { addPolicy } from './cli/policy.ts'
import { addReject } from './cli/reject.ts'
import { addReplay } from './cli/replay.ts'
import { addServe } from './cli/serve.ts'
import { addSessions } from './cli/sessions.ts'
import { addToken } from './cli/token.ts'
import { Fault } from './gateway/fault.ts'
import manifest from '../package.json' with { type: 'json' }

/** Exit codes: 0 done, 1 refused or failed, 2 wrong usage. */
async function main(): Promise<void> {
  const program = new Command('sallyport')
    .description('An access gateway for AI agents, in the data path of PostgreSQL.')
    .version(manifest.version)
    .exitOverride()
  const commands = [
    addServe,
    addCheck,
    addToken,
    addApprovals,
    addApprove,
    addReject,
    addSessions,
    addReplay,
    addAudit,
    addPolicy,
  ]
  for (const add of commands) add(program)
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = exitCode(error)
    if (error instanceof Fault) process.stderr.write(`sallyport: ${error.message}\n`)
    else if (!(error instanceof CommanderError)) throw error
  }
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  return error instanceof Fault && error.code === 'usage' ? 2 : 1
}

await main()
