import { Option, type Command } from 'commander'
import type { PrincipalKind } from '../gateway/domain.ts'
import { systemClock } from '../gateway/clock.ts'
import { Fault } from '../gateway/fault.ts'
import { openLocalTokens, type TokenRequest } from '../identity/local-tokens.ts'
import { openStore } from '../store/store.ts'
import { configFile, dataDirectory, withDataOption } from './data-directory.ts'

type Options = {
  readonly config?: string
  readonly agent?: string
  readonly user?: string
  readonly workload?: string
  readonly group?: readonly string[]
  readonly person?: string
  readonly for?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  sallyport token create --config sallyport.yaml --agent report-bot --group data-agents --person ada@example.com --for 1h
  PGPASSWORD=$(sallyport token create --config sallyport.yaml --user ada --group dba) psql -h localhost -p 5433 orders

The token is signed with the gateway's own key: whoever can read the data directory can make any token. An agent must not
run as the gateway's own user.`

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `sallyport token create`. */
export function addToken(program: Command): void {
  const token = program
    .command('token')
    .description('tokens of the gateway itself, for those who have no IdP')
    .addHelpText('after', EXAMPLES)
  const create = token
    .command('create')
    .description('make a token and print it')
    .addOption(new Option('--agent <name>', 'for an agent of this name').conflicts(['user', 'workload']))
    .addOption(new Option('--user <name>', 'for a person').conflicts(['agent', 'workload']))
    .addOption(new Option('--workload <name>', 'for a CI job or service').conflicts(['agent', 'user']))
    .option('--group <group...>', 'groups it is in')
    .option('--person <id>', 'the human it belongs to, as the person claim of the IdP says it')
    .option('--for <time>', 'how long it lasts: 90s, 15m, 1h, 30d', '1h')
    .option('--json', 'one JSON object')
    .addHelpText('after', EXAMPLES)
  withDataOption(create).action(async (options: Options) => {
    const dataDir = await dataDirectory(configFile(options.config))
    await using store = await openStore(dataDir, systemClock)
    const tokens = await openLocalTokens({ dataDir, installation: store.installation, clock: systemClock })
    const request = requestOf(options)
    const text = await tokens.mint(request)
    console.log(options.json ? JSON.stringify({ token: text, name: request.name, kind: request.kind }) : text)
  })
}

function requestOf(options: Options): TokenRequest {
  const { agent, user, workload, group: groups = [], person } = options
  const [kind, name] = (
    [
      ['Agent', agent],
      ['User', user],
      ['Workload', workload],
    ] as const satisfies [PrincipalKind, string | undefined][]
  ).find(([, given]) => given !== undefined) ?? ['User', undefined]
  if (name === undefined) throw new Fault('usage', 'Say for whom: --agent NAME, --user NAME or --workload NAME.')
  return { kind, name, groups, person, forMs: milliseconds(options.for ?? '1h') }
}

function milliseconds(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (amount === undefined || unit === undefined)
    throw new Fault('usage', `--for ${text} is not a time such as 15m or 1h.`)
  return Number(amount) * UNITS[unit]!
}
