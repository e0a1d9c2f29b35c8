import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { Fault } from '../gateway/fault.ts'
import { readPublicKey } from '../record/key.ts'
import { exportLog } from '../record/read.ts'
import { verifyLog, type Verification } from '../record/verify.ts'
import { configFile, dataDirectory, withDataOption } from './data-directory.ts'

type Verifying = {
  readonly config?: string
  readonly log?: string
  readonly key?: string
  readonly checkpoint?: string
  readonly json?: boolean
}

const VERIFY_EXAMPLES = `
Examples:
  sallyport audit verify --config sallyport.yaml --checkpoint checkpoints.log
  sallyport audit verify --log ./copy-of-the-log --key log.pub.pem --checkpoint checkpoints.log     anywhere, offline

Exit code 0: every record is as it was written. 1: something was changed, removed, reordered, cut off or torn.`

const EXPORT_EXAMPLES = `
Examples:
  sallyport audit export --config sallyport.yaml --json > records.ndjson
  sallyport audit export --config sallyport.yaml --json --since 2026-01-31T00:00:00Z`

/** `sallyport audit verify` and `audit export`. */
export function addAudit(program: Command): void {
  const audit = program
    .command('audit')
    .description('the log: verify it, export it')
    .addHelpText('after', `${VERIFY_EXAMPLES}\n${EXPORT_EXAMPLES}`)
  const verify = audit
    .command('verify')
    .description('check that no record was changed, dropped or reordered')
    .option('--checkpoint <file>', 'checkpoint lines that the gateway printed; without them a cut tail cannot be seen')
    .option('--log <directory>', "the log, when it is not the config's")
    .option('--key <file>', "the log's public key (PEM), when it is not the config's")
    .option('--json', 'one JSON object')
    .addHelpText('after', VERIFY_EXAMPLES)
  withDataOption(verify).action(runVerify)
  const exporting = audit
    .command('export')
    .description('print the records, one a line')
    .option('--json', 'as JSON, exactly as stored (the only format so far)')
    .option('--since <time>', 'records from this time on (ISO 8601)')
    .addHelpText('after', EXPORT_EXAMPLES)
  withDataOption(exporting).action(async (options: { config?: string; since?: string }) => {
    const dir = join(await dataDirectory(configFile(options.config)), 'log')
    process.stdout.on('error', endQuietly)
    for await (const line of exportLog({ dir, since: options.since ? timeOf(options.since) : undefined })) {
      if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve))
    }
  })
}

/** Whoever reads the records may stop reading: `sallyport audit export | head`. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
  process.exit()
}

async function runVerify(options: Verifying): Promise<void> {
  const { dir, publicKey } = await whatToVerify(options)
  const checkpoints = options.checkpoint ? (await readFile(options.checkpoint, 'utf8')).split('\n') : undefined
  const verification = await verifyLog({ dir, publicKey, checkpoints })
  if (verification.records === 0 && verification.verdict === 'intact')
    throw new Fault('store', `There is no log in ${dir}.`)
  if (options.json) console.log(JSON.stringify(verification))
  else verificationText(verification).forEach((line) => console.log(line))
  if (verification.verdict !== 'intact') process.exitCode = 1
}

async function whatToVerify({
  config,
  log,
  key,
}: Verifying): Promise<Pick<Parameters<typeof verifyLog>[0], 'dir' | 'publicKey'>> {
  const data = log && key ? '' : await dataDirectory(configFile(config))
  const pem = await readFile(key ?? join(data, 'keys', 'log.pub.pem'), 'utf8')
  return { dir: log ?? join(data, 'log'), publicKey: readPublicKey(pem) }
}

function verificationText({
  verdict,
  records,
  vouched,
  problems,
  problemCount,
  torn,
}: Verification): readonly string[] {
  const missing = problemCount - problems.length
  return [
    `${verdict}: ${records} records, vouched for by checkpoints up to record ${vouched}`,
    ...problems.map(({ kind, seq, segment, line, message }) => {
      const place = segment === undefined ? '' : ` (${segment}${line === undefined ? '' : `:${line}`})`
      return `  ${kind}: record ${seq}${place}: ${message}`
    }),
    ...(missing > 0 ? [`  and ${missing} more`] : []),
    ...(torn
      ? [`  torn: record ${torn.seq} was being written (${torn.bytes} bytes); a restart of the gateway clears it`]
      : []),
  ]
}

function timeOf(text: string): number {
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new Fault('usage', `--since ${text} is not a time such as 2026-01-31T12:00:00Z.`)
  return time
}
