import type { Command } from 'commander'
import { configFile, withDataOption } from './data-directory.ts'
import type { Finding } from './find-problems.ts'

const EXAMPLES = `
Examples:
  sallyport check --config sallyport.yaml
  sallyport check --config sallyport.yaml --offline     config and policies only

Tries every right the gateway needs at its targets, and prints the SQL that gives a missing one. Changes nothing there.`

/** `sallyport check`. */
export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .description('check config, policies, and the rights at the targets')
    .option('--offline', 'config and policies only')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
  withDataOption(command).action(async (options: { config?: string; offline?: boolean; json?: boolean }) => {
    const { findProblems } = await import('./find-problems.ts') // it needs all of the gateway: not for --help
    const findings = await findProblems(configFile(options.config), options.offline === true)
    for (const finding of findings) console.log(options.json ? JSON.stringify(finding) : findingText(finding))
    if (findings.length > 0) process.exitCode = 1
    else if (!options.json) console.log('All is well.')
  })
}

function findingText({ problem, remedy }: Finding): string {
  return remedy === undefined ? problem : `${problem}\n  ${remedy.replaceAll('\n', '\n  ')}`
}
