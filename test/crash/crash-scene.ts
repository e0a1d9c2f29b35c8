import { appendFile, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { StoredEntry } from '../../src/record/entry.ts'
import { loadLogKey } from '../../src/record/key.ts'
import { readLog } from '../../src/record/read.ts'
import { listSegments } from '../../src/record/segments.ts'
import { verifyLog, type Verification } from '../../src/record/verify.ts'
import { createToken, serve, type Serving } from '../command.ts'
import { startShop, type Shop } from '../shop.ts'
import { within } from '../waiting.ts'
import { TABLE, writeScripts } from './load.ts'
import { LOGGING, readTargetLog, type Ran } from './target-log.ts'

/** One PostgreSQL that logs all it runs, and a gateway before it that can be killed and started again. */
export interface CrashScene extends AsyncDisposable {
  readonly shop: Shop
  /** With the scripts of the load. */
  readonly directory: string
  /** A gateway over the log that the last one left. `torn`: see `disk.preload.ts`. */
  start(torn: number): Promise<Serving>
  token(): Promise<string>
  /** What ran for sessions since the last call: all of it, because it waits for their last backend to end. */
  ran(): Promise<readonly Ran[]>
  /** Without a torn last record. */
  records(after: number): Promise<readonly StoredEntry[]>
  /** Forgets what the gateway has not synced, all but the part `keep` (0 to 1) of each segment; how many bytes. */
  loseUnsynced(keep: number): Promise<number>
  /** Against the checkpoints given. */
  verify(printed: readonly string[]): Promise<Verification>
}

const POLICIES = `
@id("agents-connect") @lease("15m")
permit (principal in Group::"data-agents", action == Action::"connect", resource == Target::"orders");

@id("agents-work")
permit (
  principal in Group::"data-agents",
  action in [Action::"read", Action::"session", Action::"sql.update"],
  resource in Target::"orders"
);

@id("deletes-need-a-dba") @hold("group:dba") @wait("0s") @ticket("60s") @preview("rows")
permit (principal in Group::"data-agents", action == Action::"sql.delete", resource in Target::"orders");`

const PRELOAD = pathToFileURL(join(import.meta.dirname, 'disk.preload.ts')).href

/** How long the target may take to notice that the gateway is gone, in ms. */
const QUIET_MS = 60_000

export async function startCrashScene(): Promise<CrashScene> {
  const shop = await startShop({ policies: POLICIES, settings: LOGGING })
  const { directory, config } = shop
  await shop.truth(TABLE)
  await writeScripts(directory)
  const dir = join(directory, 'sallyport-data', 'log')
  const synced = join(directory, 'synced')
  await appendFile(synced, '')
  const environment = { NODE_OPTIONS: `--import=${PRELOAD}`, SYNCED: synced }
  let token: Promise<string> | undefined
  return {
    shop,
    directory,
    start: (torn) => serve(config, { ...environment, TORN: String(torn) }),
    token: () => (token ??= createToken(config, '--agent', 'report-bot', '--group', 'data-agents', '--for', '4h')),
    ran: followTarget(shop),
    records: (after) => Array.fromAsync(readLog({ dir, after })),
    loseUnsynced: (keep) => loseUnsynced(dir, synced, keep),
    verify: (checkpoints) =>
      verifyLog({ dir, publicKey: loadLogKey(join(directory, 'sallyport-data')).publicKey, checkpoints }),
    [Symbol.asyncDispose]: () => shop[Symbol.asyncDispose](),
  }
}

function followTarget({ truth, postgres }: Shop): CrashScene['ran'] {
  let seen = 0
  return async () => {
    const backends = `SELECT FROM pg_stat_activity WHERE usename LIKE 'sp\\_%'`
    await within('no session has a backend', async () => (await truth(backends)).length === 0, QUIET_MS)
    const end = `SELECT 'the log up to line ${seen} and more'`
    await truth(end)
    let lines: readonly string[] = []
    await within(
      'the log of the server has come',
      async () => (lines = postgres.logLines().slice(seen)).some((line) => line.endsWith(end)),
      QUIET_MS,
    )
    const round = lines.slice(0, lines.findIndex((line) => line.endsWith(end)) + 1)
    seen += round.length
    return readTargetLog(round).filter(({ role }) => role.startsWith('sp_'))
  }
}

async function loseUnsynced(dir: string, synced: string, keep: number): Promise<number> {
  const lines = (await readFile(synced, 'utf8')).split('\n')
  // The last one counts: after a loss a segment may be shorter than it was.
  const durable = new Map(lines.slice(0, -1).map((line) => line.split(' ') as [string, string]))
  let lost = 0
  for (const { name } of listSegments(dir)) {
    const path = join(dir, name)
    const { size } = await stat(path)
    const sure = Math.min(size, Number(durable.get(name) ?? 0))
    const left = sure + Math.floor((size - sure) * keep)
    await truncate(path, left)
    lost += size - left
  }
  return lost
}
