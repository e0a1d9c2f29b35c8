import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { query } from '../client-messages.ts'
import { createToken, serve, type Serving } from '../command.ts'
import { rawConnect, show, type RawClient } from '../raw-client.ts'
import { startShop, type Shop, type ShopOptions } from '../shop.ts'
import type { Outcome, OnslaughtName } from './onslaughts.ts'

/** A gateway process in front of a real PostgreSQL, a session that works, and others that attack from another process. */
export interface Siege extends AsyncDisposable {
  readonly shop: Shop
  readonly gateway: Serving
  readonly token: string
  /** The session whose latency counts. */
  readonly second: RawClient
  /** The superuser, connected to the target without a gateway: how fast the machine is just now. */
  readonly direct: RawClient
  /** Resident memory of the gateway, in MB. */
  readonly memory: () => number
  /** Starts an attack; it goes on until it is disposed, or has done all it does. */
  attack(name: OnslaughtName): Promise<Attack>
}

export interface Attack extends AsyncDisposable {
  /** Ends the attack; what its clients have seen. */
  stop(): Promise<Outcome>
}

/**
 * Medians of a small query, in ms: of a text that the gateway has seen before, of one that it never saw, and without a
 * gateway.
 */
export type Latency = { readonly seen: number; readonly fresh: number; readonly direct: number }

/** Rows of 1 KB: 64 MB of answer. */
const LARGE = `CREATE TABLE large AS SELECT id, repeat('x', 1000) AS filler FROM generate_series(1, 64000) AS id;
GRANT SELECT ON large TO orders_writer`

/** Of a test: memory and descriptors are read off /proc, and there are many addresses of this machine. */
export const LINUX = { skip: process.platform !== 'linux' && 'needs /proc and all of 127.0.0.0/8' }

export async function startSiege(options: ShopOptions = {}): Promise<Siege> {
  await using starting = new AsyncDisposableStack()
  const shop = starting.use(await startShop(options))
  await shop.truth(LARGE)
  const gateway = starting.use(await serve(shop.config))
  const token = await createToken(shop.config)
  const second = starting.use(await rawConnect({ port: gateway.postgres, password: token }))
  const superuser = { user: 'postgres', database: 'postgres', password: new URL(shop.postgres.admin).password }
  const direct = starting.use(await rawConnect({ port: shop.postgres.port, ...superuser }))
  const parts = starting.move()
  return {
    shop,
    gateway,
    token,
    second,
    direct,
    memory: () => residentMemory(gateway.pid),
    attack: (name) => startAttack({ port: gateway.postgres, token, name }),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** In MB. */
function residentMemory(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1024
}

/** At the lowest priority: what is measured is what the gateway makes of an attack, not what making it costs. */
async function startAttack(what: { port: number; token: string; name: OnslaughtName }): Promise<Attack> {
  const program = join(import.meta.dirname, 'assailant.ts')
  const child = spawn('nice', ['-n', '10', process.execPath, program, JSON.stringify(what)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const heard = async (): Promise<string> => {
    const { value, done } = await lines.next()
    assert.ok(!done, `the attack "${what.name}" ended without a word`)
    return value
  }
  assert.equal(await heard(), 'begun')
  return {
    stop: async () => {
      child.stdin.end()
      const late = setTimeout(() => child.kill('SIGKILL'), STOPPING_MS)
      const outcome = JSON.parse(await heard()) as Outcome
      clearTimeout(late)
      return outcome
    },
    [Symbol.asyncDispose]: () => endChild(child),
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

/** How long an attacker may take to see that it is over, in ms. */
const STOPPING_MS = 20_000
const SAMPLES = 120
/** How long a measurement takes, in ms: so long that an attack unfolds; fewer samples tell as much when all are slow. */
const LEAST_MS = 600
const MOST_MS = 4_000

/** What a small query takes the session, as the median of many. */
export async function latency({ second, direct }: Siege): Promise<Latency> {
  const seen: number[] = []
  const fresh: number[] = []
  const without: number[] = []
  const start = performance.now()
  const passed = (): number => performance.now() - start
  while ((seen.length < SAMPLES && passed() < MOST_MS) || passed() < LEAST_MS) {
    seen.push(await timed(second, 'SELECT 7'))
    fresh.push(await timed(second, `SELECT 7 AS n${Math.random().toString(36).slice(2)}`))
    without.push(await timed(direct, 'SELECT 7'))
  }
  return { seen: middle(seen), fresh: middle(fresh), direct: middle(without) }
}

async function timed(client: RawClient, text: string): Promise<number> {
  const start = performance.now()
  client.send(query(text))
  const answer = await client.ready()
  const took = performance.now() - start
  assert.deepEqual(show(answer).slice(1), ['D 7', 'C SELECT 1', 'Z I'])
  return took
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

export type Held = { readonly outcome: Outcome; readonly peak: number }

/** A factor of two, over the same query with nobody else about; the one number that the specification names. */
const SLOWER = 2
/** What the gateway may hold more under an attack than before it, in MB. */
const MEMORY = 384

/**
 * Runs an attack while the second session measures itself. Fails when its median is more than twice what it was just
 * before, three times over. Where a connection without a gateway has become slower too, it is the machine that has: that
 * much is no doing of the gateway's.
 */
export async function withstand(siege: Siege, name: OnslaughtName): Promise<Held> {
  for (let attempt = 1; ; attempt++) {
    const quiet = await latency(siege)
    const before = siege.memory()
    await using attack = await siege.attack(name)
    const peak = watchMemory(siege)
    const busy = await latency(siege)
    const outcome = await attack.stop()
    const most = peak()
    const told = `${name}: quiet ${words(quiet)}, attacked ${words(busy)}, memory ${before.toFixed()} to ${most.toFixed()} MB`
    if (process.env.SIEGE_SHOW) console.log(told, JSON.stringify(outcome))
    const allowed = SLOWER * Math.max(1, busy.direct / quiet.direct)
    const held = busy.seen <= allowed * quiet.seen && busy.fresh <= allowed * quiet.fresh
    assert.ok(most < before + MEMORY, told)
    if (held) return { outcome, peak: most }
    assert.ok(attempt < 3, told)
  }
}

const words = (all: Latency): string =>
  `${[all.seen, all.fresh, all.direct].map((each) => each.toFixed(2)).join(' / ')} ms`

/** The most that the gateway held until this is called. */
function watchMemory(siege: Siege): () => number {
  let most = siege.memory()
  const timer = setInterval(() => (most = Math.max(most, siege.memory())), 50).unref()
  return () => {
    clearInterval(timer)
    return Math.max(most, siege.memory())
  }
}

/** Waits until `is` holds; fails when that takes too long. */
export async function eventually(what: string, is: () => boolean | Promise<boolean>, withinMs = 8_000): Promise<void> {
  const until = performance.now() + withinMs
  while (!(await is())) {
    assert.ok(performance.now() < until, `never: ${what}`)
    await sleep(50)
  }
}

/** Of the attackers' sessions nothing is left at the target, once what they had sent before they left was worked off. */
export async function noneLeft({ shop }: Siege): Promise<void> {
  await eventually('one session role left', async () => (await shop.roles()).length === 1, 60_000)
}
