import { setImmediate } from 'node:timers/promises'
import { requestCancel } from './cancelling.ts'
import { ClientStream, cut, seedsOf } from './client-stream.ts'
import { loadSessions } from './corpus.ts'
import { connectFuzz, type FuzzClient } from './fuzz-client.ts'
import { campaign } from './campaign.ts'
import { Heard } from './heard.ts'
import type { Ledger } from './ledger.ts'
import { chunks } from './mutate.ts'
import type { Random } from './random.ts'
import type { Lived } from './run.ts'
import { PATIENCE, SECRETS, type FuzzScene } from './fuzz-scene.ts'

const seeds = seedsOf(loadSessions())

/** Clients that send what no client would, against an honest target. */
await campaign({ live })

/** One client, from its start to one of the ways to go. */
async function live({ dial }: FuzzScene, ledger: Ledger, random: Random): Promise<Lived> {
  const heard = new Heard(SECRETS)
  heard.statusHolds = true
  const client = await connectFuzz(dial, ledger, heard, PATIENCE, random)
  // The gateway gives a target that has no time to answer up.
  if (!client) return { frames: 0, problems: heard.problems }
  const stream = new ClientStream(random, seeds)
  const breaks = random.pick([60, 200, 1_000, 5_000])
  let frames = 0
  let mayTerminate = true
  for (let turn = random.pick([1, 5, 40]); turn > 0 && !client.over; turn--) {
    const saying = say(client, stream.next(1 + random.below(60), breaks), random)
    const cancelling = random.once(10) ? requestCancel(dial, heard, random) : undefined
    const said = await saying
    await cancelling
    frames += said.frames
    // A Terminate would be taken for the rest of it; behind another one nothing is read.
    mayTerminate = !said.stuck && !stream.terminated
    if (!mayTerminate || !(await client.reachable(PATIENCE))) break
  }
  await leave(client, mayTerminate, random)
  return { frames, problems: [...heard.problems, ...client.account.problems] }
}

/** `stuck`: the other side waits for the rest of a message that never comes. */
async function say(
  client: FuzzClient,
  frames: readonly Buffer[],
  random: Random,
): Promise<{ frames: number; stuck: boolean }> {
  const bytes = Buffer.concat(frames)
  client.heard.says(bytes)
  const { frames: seen, good, left } = cut(bytes)
  for (const frame of seen) client.announce(frame)
  for (const piece of chunks(bytes, random)) {
    client.write(piece)
    if (random.once(4)) await setImmediate()
  }
  return { frames: Math.min(seen.length, good + 1), stuck: left.length > 0 }
}

async function leave(client: FuzzClient, mayTerminate: boolean, random: Random): Promise<void> {
  const { line, heard } = client
  const ways = ['end', 'destroy', 'resetAndDestroy', ...(mayTerminate ? ['terminate' as const] : [])] as const
  const way = random.pick(ways)
  if (way === 'terminate') client.write(Buffer.from('5800000004', 'hex'))
  else line[way]()
  if (!(await client.until(() => false, PATIENCE))) heard.problems.push(`the connection is open after ${way}`)
}
