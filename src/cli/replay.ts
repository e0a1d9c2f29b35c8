import { join } from 'node:path'
import type { Command } from 'commander'
import type { SessionId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import { renderer as httpRenderer } from '../protocols/http/render.ts'
import { renderer as postgresRenderer } from '../protocols/postgres/render.ts'
import { readLog } from '../record/read.ts'
import { replay, type Render } from '../record/replay.ts'
import { replayText } from '../record/replay-text.ts'
import { configFile, dataDirectory, withDataOption } from './data-directory.ts'

const EXAMPLES = `
Examples:
  sallyport replay ses_0190… --config sallyport.yaml
  sallyport replay ses_0190… --config sallyport.yaml --json     one JSON object a line`

/** `sallyport replay`. */
export function addReplay(program: Command): void {
  const command = program
    .command('replay')
    .argument('<session>', 'id of the session (`sallyport sessions`)')
    .description('show every statement and masked answer of a session, in order')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
  withDataOption(command).action(async (session: string, options: { config?: string; json?: boolean }) => {
    const dir = join(await dataDirectory(configFile(options.config)), 'log')
    const entries = readLog({ dir, session: session as SessionId })
    let steps = 0
    for await (const step of replay(session as SessionId, entries, await rendererOf(session as SessionId, dir))) {
      steps++
      const lines = options.json ? [JSON.stringify(step)] : replayText(step)
      lines.forEach((line) => console.log(line))
    }
    if (steps === 0) throw new Fault('store', `The log has no session ${session}.`)
  })
}

/** How the answers of a session are read: by the protocol it was opened with. */
async function rendererOf(session: SessionId, dir: string): Promise<Render> {
  for await (const entry of readLog({ dir, session, types: ['session.opened'] })) {
    if (entry.type === 'session.opened' && entry.protocol === 'http') return httpRenderer()
  }
  return postgresRenderer()
}
