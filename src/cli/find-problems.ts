import { checkConfig, errorText, loadConfig } from '../config/config.ts'
import { publicLeaks } from '../credentials/leaks.ts'
import { openDatabase, type RunSql } from '../credentials/postgres-pool.ts'
import { systemClock } from '../gateway/clock.ts'
import { reasonOf } from '../gateway/fault.ts'
import { checkPolicies } from '../policy/load-policies.ts'
import { problemLine } from '../policy/problem.ts'
import { readCatalog, type CatalogReading } from '../protocols/postgres/catalog.ts'
import type { PostgresConfig } from '../protocols/postgres/config.ts'
import { profileRequests } from '../protocols/postgres/profile-request.ts'
import { viewFollower } from '../protocols/postgres/view-lineage.ts'
import { startSqlReader } from '../sql/worker-reader.ts'
import { openStore } from '../store/store.ts'
import { leasesOf, loginOf, PROTOCOLS, tlsOf, type GatewayConfig } from '../targets.ts'
import { policyDirectory } from './data-directory.ts'

/** One thing that is wrong, and what would mend it. */
export type Finding = { readonly problem: string; readonly remedy?: string }

/** Everything that is wrong with a config file, its policies and, unless `offline`, the rights at its targets. */
export async function findProblems(file: string, offline: boolean): Promise<readonly Finding[]> {
  const errors = await checkConfig(file, PROTOCOLS)
  if (errors.length > 0)
    return [...errors.map((error) => ({ problem: errorText(error) })), ...(await policyErrors(file))]
  const policies = await policyErrors(file)
  return offline ? policies : [...policies, ...(await checkTargets(await loadConfig(file, PROTOCOLS)))]
}

/** Also of a config that has errors of its own, as long as it says where the policies are. */
async function policyErrors(file: string): Promise<readonly Finding[]> {
  const directory = await policyDirectory(file)
  if (directory === undefined) return []
  return checkPolicies(directory).errors.map((problem) => ({ problem: problemLine(problem) }))
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

/** An HTTP target has no right that could be tried without doing something there. */
async function checkTarget(
  target: GatewayConfig['targets'][number],
  installation: string,
): Promise<readonly Finding[]> {
  if (target.protocol !== 'postgres') return []
  const { name, settings } = target
  await using leases = leasesOf(name, settings, { installation, clock: systemClock, isLive: () => false })
  await using database = openDatabase({ url: settings.url, login: loginOf(settings), tls: tlsOf(settings) })
  const lacks = (await leases.check()).map(({ lacks: problem, remedy }) => ({ problem, remedy }))
  try {
    const reading = await readCatalog(database.query, settings.sensitive)
    const missing = reading.missing.map((column) => ({ problem: `sensitive: ${column} does not exist` }))
    return [...lacks, ...missing, ...(await leaksOf(database.query, target, reading))]
  } catch (error) {
    // Whatever keeps the gateway from connecting has been said already.
    return lacks.length > 0 ? lacks : [{ problem: reasonOf(error) }]
  }
}

/** Where a profile is a wall before what is sensitive, PUBLIC must not walk around it. */
async function leaksOf(
  query: RunSql,
  { name, settings: { lease, sensitive } }: { readonly name: string; readonly settings: PostgresConfig },
  { catalog }: CatalogReading,
): Promise<readonly Finding[]> {
  const profile = lease.from === 'postgres-role' ? lease.profile : undefined
  if (profile === undefined) return []
  await using reader = startSqlReader()
  const classes = Object.keys(sensitive)
  const followed = await viewFollower({ query, classes, reader, target: name })(catalog)
  const { relations } = profileRequests(profile)(followed, classes)
  return (await publicLeaks(query, relations)).map(({ lacks: problem, remedy }) => ({ problem, remedy }))
}
