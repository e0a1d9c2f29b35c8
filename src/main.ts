import { CommanderError } from 'commander'
import { commandLine } from './cli/command-line.ts'
import { Fault } from './gateway/fault.ts'

/** Exit codes: 0 done, 1 refused or failed, 2 wrong usage. */
async function main(): Promise<void> {
  try {
    await commandLine().parseAsync()
  } catch (error) {
    process.exitCode = exitCode(error)
    const message = failure(error)
    if (message !== undefined) process.stderr.write(`sallyport: ${message}\n`)
    else if (!(error instanceof CommanderError)) throw error
  }
}

/** What to say of a failure; undefined when it is a defect of ours, or when commander has said it. */
function failure(error: unknown): string | undefined {
  if (error instanceof Fault) return error.message
  return error instanceof Error && 'syscall' in error ? error.message : undefined
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  return error instanceof Fault && error.code === 'usage' ? 2 : 1
}

await main()
