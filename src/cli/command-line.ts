import { Command } from 'commander'
import { addApprovals } from './approvals.ts'
import { addApprove } from './approve.ts'
import { addAudit } from './audit.ts'
import { addCheck } from './check.ts'
import { addGrants } from './grants.ts'
import { addPolicy } from './policy.ts'
import { addReject } from './reject.ts'
import { addReload } from './reload.ts'
import { addReplay } from './replay.ts'
import { addRequest } from './request.ts'
import { addRevoke } from './revoke.ts'
import { addServe } from './serve.ts'
import { addSessions } from './sessions.ts'
import { addToken } from './token.ts'
import manifest from '../../package.json' with { type: 'json' }

const EXAMPLES = `
Examples:
  sallyport check --config sallyport.yaml     is everything there that a gateway needs?
  sallyport serve --config sallyport.yaml     run it
  sallyport help token create                 each command has examples of its own

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`

/** The command line, read as `process.argv` says by `parseAsync`. What is wrong with it is a CommanderError. */
export function commandLine(): Command {
  const program = new Command('sallyport')
    .description('An access gateway for AI agents, in the data path of PostgreSQL.')
    .version(manifest.version)
    .addHelpText('after', EXAMPLES)
    .exitOverride()
  const commands = [
    addServe,
    addCheck,
    addToken,
    addRequest,
    addGrants,
    addRevoke,
    addApprovals,
    addApprove,
    addReject,
    addSessions,
    addReload,
    addReplay,
    addAudit,
    addPolicy,
  ]
  for (const add of commands) add(program)
  return program
}
