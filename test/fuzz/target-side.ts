import { letterOf } from './answer-book.ts'
import { CALLS } from './calls.ts'
import { campaign } from './campaign.ts'
import { loadSessions } from './corpus.ts'
import { seedsOf } from './client-stream.ts'
import { connectFuzz, type FuzzClient } from './fuzz-client.ts'
import { PATIENCE, SECRETS, type FuzzScene } from './fuzz-scene.ts'
import { Heard } from './heard.ts'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'
import type { Lived } from './run.ts'
import { spoiling, targetFrames } from './target-stream.ts'

const captured = loadSessions()
const { sessions } = seedsOf(captured)
const frames = targetFrames(captured)
/** A target that keeps an answer to itself is waited for no longer than this, in ms: the client goes. */
const QUIET = 500

/** Honest clients, in front of a target that says what no target would. */
await campaign({ live, target: { spoil: (account) => spoiling(account, frames) } })

async function live({ dial }: FuzzScene, ledger: Ledger, random: Random): Promise<Lived> {
  const heard = new Heard(SECRETS)
  const client = await connectFuzz(dial, ledger, heard, PATIENCE, random)
  // The start may fail here: the target says what it wants then, too.
  if (!client) return { frames: 0, problems: heard.problems }
  heard.secretsHold = () => !client.account.lied
  for (let left = 1 + random.below(12); left > 0 && !client.over; left--)
    if (!(await replay(client, random.once(6) ? CALLS : random.pick(sessions)))) break
  client.line[random.pick(['end', 'destroy', 'resetAndDestroy'] as const)]()
  if (!(await client.until(() => false, PATIENCE))) heard.problems.push('the connection does not close')
  return { frames: client.account.said, problems: [...heard.problems, ...client.account.problems] }
}

/** A captured session, one batch at a time; false once the other side is gone, or silent. */
async function replay(client: FuzzClient, script: readonly Buffer[]): Promise<boolean> {
  const { heard } = client
  const isAnswered = (): boolean => heard.answered || heard.takesInput
  let batch: Buffer[] = []
  for (const [place, frame] of script.entries()) {
    batch.push(frame)
    client.announce(frame)
    if (!isAnsweredTo(frame, script[place + 1])) continue
    client.write(Buffer.concat(batch))
    batch = []
    await client.until(isAnswered, QUIET)
    if (client.over || !isAnswered()) return false
  }
  return true
}

/** A Query, a FunctionCall, a Sync, and the end of the input of a COPY that no Sync follows. */
function isAnsweredTo(frame: Buffer, next: Buffer | undefined): boolean {
  const letter = letterOf(frame)
  return 'QSF'.includes(letter) || ('cf'.includes(letter) && letterOf(next ?? frame) !== 'S')
}
