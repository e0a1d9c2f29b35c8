import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredEntry } from '../../src/record/entry.ts'
import type { Verification } from '../../src/record/verify.ts'
import type { Serving } from '../command.ts'
import { within } from '../waiting.ts'
import { allowedBy, tookEffect, unrecorded } from './compare.ts'
import { startCrashScene, type CrashScene } from './crash-scene.ts'
import { runLoad } from './load.ts'
import type { Ran } from './target-log.ts'

/** How a gateway ends: killed; killed inside a write to its log; killed, and its log loses what was not synced. */
export type Blow = 'kill' | 'torn write' | 'power cut'

/** What one round found. */
export type Round = Omit<Found, 'records'> & {
  readonly blow: Blow
  /** What the target ran, or parsed. */
  readonly ran: readonly Ran[]
  /** The log: as the blow left it, and after the next start. */
  readonly verified: readonly Verification[]
  /** Roles that the blow left. */
  readonly left: readonly string[]
  /** Those of them that are still there when the next gateway is ready. */
  readonly remaining: readonly string[]
}

type Found = {
  /** Of that, what the records have not, or not as often. */
  readonly missing: readonly string[]
  /** Of what took effect, what the disk has not once all that was not synced is lost. */
  readonly forgotten: readonly string[]
  /** Bytes that the power cut took. */
  readonly lost: number
  /** Of this round, as they are now. */
  readonly records: readonly StoredEntry[]
}

type Plan = {
  readonly blow: Blow
  readonly number: number
  /** Of pgbench's random numbers. */
  readonly seed: number
  /** From the moment sessions run statements to the blow. */
  readonly ms: number
  /** The part (0 to 1) that a torn write writes, or that a power cut leaves of what was not synced. */
  readonly keep: number
}

const BLOWS = ['kill', 'power cut', 'kill', 'torn write'] as const
/** Longest `ms` of a plan. */
const LONGEST_MS = 700
const STARTING_MS = 60_000
/** Rounds with one PostgreSQL, whose log is kept in memory. */
const ROUNDS_EACH = 20

/** Loads a gateway and ends it at a random moment, over and over. The seed says all but how long things take. */
export async function runRounds(count: number, seed: number): Promise<readonly Round[]> {
  const random = randomNumbers(seed)
  const plans = Array.from({ length: count }, (_, number) => planRound(number, random))
  const rounds: Round[] = []
  for (let first = 0; first < count; first += ROUNDS_EACH) {
    await using scene = await startCrashScene()
    rounds.push(...(await runSome(scene, plans.slice(first, first + ROUNDS_EACH))))
  }
  return rounds
}

function planRound(number: number, random: () => number): Plan {
  const blow = BLOWS[number % BLOWS.length]!
  const seed = Math.floor(random() * 2 ** 31)
  const ms = random() * LONGEST_MS
  const all = blow === 'power cut' && random() < 0.5
  return { blow, number, seed, ms, keep: all ? 0 : random() }
}

async function runSome(scene: CrashScene, plans: readonly Plan[]): Promise<readonly Round[]> {
  const rounds: Round[] = []
  const printed: string[] = []
  let gateway = await scene.start(plans[0]!.keep)
  let last = 0
  for (const [index, plan] of plans.entries()) {
    const after = last
    const { ran, said } = await strike(scene, gateway, plan)
    printed.push(...said.split('\n'))
    const { missing, forgotten, lost, records } = await look(scene, ran, after, plan)
    last = records.at(-1)?.seq ?? after
    const before = await scene.verify(printed)
    const left = await scene.shop.roles()
    gateway = await scene.start(plans[index + 1]?.keep ?? 0)
    const verified = [before, await scene.verify(printed)]
    const roles = await scene.shop.roles()
    const remaining = left.filter((role) => roles.includes(role))
    rounds.push({ blow: plan.blow, ran, missing, forgotten, lost, verified, left, remaining })
  }
  await gateway[Symbol.asyncDispose]()
  return rounds
}

/** What the target ran, and what the gateway said. */
async function strike(
  scene: CrashScene,
  gateway: Serving,
  { blow, seed, number, ms }: Plan,
): Promise<{ readonly ran: readonly Ran[]; readonly said: string }> {
  const token = await scene.token()
  const load = runLoad({ port: gateway.postgres, token, seed, round: number, directory: scene.directory })
  const ended = load.then((said) => Promise.reject(new Error(`pgbench ended by itself: ${said}`)))
  await Promise.race([underLoad(scene), ended])
  await sleep(ms)
  gateway.kill(blow === 'torn write' ? 'SIGUSR2' : 'SIGKILL')
  const { stdout } = await gateway.ended
  await load
  return { ran: await scene.ran(), said: stdout }
}

/** Resolves when sessions run statements. */
async function underLoad({ shop }: CrashScene): Promise<void> {
  const busy = `SELECT FROM pg_stat_activity WHERE usename LIKE 'sp\\_%' AND query LIKE '%load%'`
  await within('sessions run statements', async () => (await shop.truth(busy)).length > 3, STARTING_MS)
}

async function look(scene: CrashScene, ran: readonly Ran[], after: number, { blow, keep }: Plan): Promise<Found> {
  const missing = unrecorded(ran, allowedBy(await scene.records(after)))
  const lost = blow === 'power cut' ? await scene.loseUnsynced(keep) : 0
  const records = await scene.records(after)
  return { missing, lost, records, forgotten: unrecorded(tookEffect(ran), allowedBy(records)) }
}

/** From 0 to 1, the same ones for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
