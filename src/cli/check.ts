import type { Command } from 'commander'
import { checkConfig, errorText, loadConfig } from '../config/config.ts'
import { openDatabase } from '../credentials/postgres-pool.ts'
import { systemClock } from '../gateway/clock.ts'
import { Fault } from '../gateway/fault.ts'
import { checkPolicies } from '../policy/load-policies.ts'
import { problemLine } from '../policy/problem.ts'
import { readCatalog } from '../protocols/postgres/catalog.ts'
import { openStore } from '../store/store.ts'
import { leasesOf, loginOf, PROTOCOLS, tlsOf } from '../targets.ts'
import type { GatewayConfig } from '../start.ts'
import { configFile, withDataOption } from './data-directory.ts'

/** One thing that is wrong, and what would mend it. */
type Finding = { readonly problem: string; readonly remedy?: string }

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
    const findings = await check(configFile(options.config), options.offline === true)
    for (const finding of findings) console.log(options.json ? JSON.stringify(finding) : findingText(finding))
    if (findings.length > 0) process.exitCode = 1
    else if (!options.json) console.log('All is well.')
  })
}

async function check(file: string, offline: boolean): Promise<readonly Finding[]> {
  const errors = await checkConfig(file, PROTOCOLS)
  if (errors.length > 0) return errors.map((error) => ({ problem: errorText(error) }))
  const config = await loadConfig(file, PROTOCOLS)
  const policies = checkPolicies(config.policies).errors.map((problem) => ({ problem: problemLine(problem) }))
  return offline ? policies : [...policies, ...(await checkTargets(config))]
}

async function checkTargets(config: GatewayConfig): Promise<readonly Finding[]> {
  await using store = await openStore(config.data, systemClock)
  const findings: Finding[] = []
  for (const target of config.targets) {
    for (const finding of await checkTarget(target, store.installation)) {
      findings.push({ ...finding, problem: `target ${target.name}: ${finding.problem}` })
    }
  }
  return findings
}

async function checkTarget(
  { name, settings }: GatewayConfig['targets'][number],
  installation: string,
): Promise<readonly Finding[]> {
  await using leases = leasesOf(name, settings, { installation, clock: systemClock, live: new Map() })
  await using database = openDatabase({ url: settings.url, login: loginOf(settings), tls: tlsOf(settings) })
  try {
    const lacks = await leases.check()
    const { missing } = await readCatalog(database.query, settings.sensitive)
    return [
      ...lacks.map(({ lacks: problem, remedy }) => ({ problem, remedy })),
      ...missing.map((column) => ({ problem: `sensitive: ${column} does not exist` })),
    ]
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return [{ problem: error.message }]
  }
}

function findingText({ problem, remedy }: Finding): string {
  return remedy === undefined ? problem : `${problem}\n  ${remedy.replaceAll('\n', '\n  ')}`
}
