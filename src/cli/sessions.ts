import type { Command } from 'commander'
import * as z from 'zod'
import { SessionShape, type SessionJson } from '../admin/shapes.ts'
import { printable, shortened } from '../gateway/printable.ts'
import {
  connect,
  printAll,
  processTerminal,
  read,
  table,
  withGatewayOptions,
  type GatewayOptions,
  type Terminal,
} from './terminal.ts'

type Options = GatewayOptions & {
  readonly live?: boolean
  readonly target?: string
  readonly identity?: string
  readonly limit?: string
}

const SessionList = z.object({ sessions: z.array(SessionShape) })

const EXAMPLES = `
Examples:
  sallyport sessions --live
  sallyport sessions --target orders --limit 10 --json
  sallyport sessions --identity corp/ann     your own, without being an auditor`

/** `sallyport sessions`. */
export function addSessions(program: Command, terminal: Terminal = processTerminal): void {
  const command = program
    .command('sessions')
    .description('list sessions, the newest first (operators and auditors; your own with --identity)')
    .option('--live', 'only those that are open')
    .option('--target <name>', 'only those on this target')
    .option('--identity <id>', 'only those of this identity, provider/subject')
    .option('--limit <number>', 'at most this many, up to 1000')
    .addHelpText('after', EXAMPLES)
  withGatewayOptions(command).action((options: Options) => list(options, terminal))
}

async function list(options: Options, terminal: Terminal): Promise<void> {
  const gateway = await connect(options, terminal)
  const found = read(await gateway.get(`/api/v1/sessions?${queryOf(options)}`), SessionList, terminal)
  if (found === undefined) return
  printAll(found.sessions, sessionTable, options, terminal)
}

function queryOf({ live, target, identity, limit }: Options): string {
  const query = new URLSearchParams()
  if (live) query.set('live', 'true')
  for (const [name, value] of Object.entries({ target, identity, limit })) {
    if (value !== undefined) query.set(name, value)
  }
  return query.toString()
}

function sessionTable(sessions: readonly SessionJson[]): readonly string[] {
  const rows = sessions.map((session) => [
    printable(session.id),
    printable(session.opened_at),
    session.closed_at === undefined ? 'open' : shortened(session.close_reason ?? 'closed', 30),
    printable(session.target),
    shortened(session.identity, 40),
    shortened(session.client, 40),
    String(session.operations),
  ])
  return table([['ID', 'OPENED', 'STATE', 'TARGET', 'IDENTITY', 'CLIENT', 'OPERATIONS'], ...rows])
}
