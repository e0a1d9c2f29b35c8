import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { runPgbench } from './stage/pgbench-program.ts'
import { openStage } from './stage/stage.ts'

/** The form of the files that `node --cpu-prof` writes (Chrome DevTools Protocol, `Profiler.Profile`). */
type Profile = {
  readonly nodes: readonly Node[]
  readonly samples: readonly number[]
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[]
  /** µs of the monotonic clock. */
  readonly startTime: number
}
type Node = {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}
/** µs of the monotonic clock. */
type Span = { readonly from: number; readonly to: number }
type Load = Span & { readonly statements: number }
type Times = { own: number; total: number }

const ROOT = join(import.meta.dirname, '..')
const SHOWN = 45
const USAGE = 'Usage: node bench/profile.ts [--seconds N] [simple|prepared]'

/** Where the time of the gateway's threads goes under `pgbench -S`, by function. */
async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { seconds: { type: 'string', default: '8' } },
  })
  const [mode = 'prepared'] = positionals
  if (mode !== 'simple' && mode !== 'prepared') throw new Error(USAGE)
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-profile-'))
  const load = await run(directory, mode, Number(values.seconds))
  for (const name of await readdir(directory)) {
    const profile = JSON.parse(await readFile(join(directory, name), 'utf8')) as Profile
    console.log(`\n${join(directory, name)}: ${load.statements} statements, -M ${mode}; µs a statement`)
    console.log('     own    total')
    for (const line of linesOf(profile, load)) console.log(line)
  }
}

async function run(directory: string, mode: 'simple' | 'prepared', seconds: number): Promise<Load> {
  const environment = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory}` }
  await using stage = await openStage({ rows: 1, sessions: 50, note: (line) => console.log(line), environment })
  const gateway = stage.arms.find(({ name }) => name === 'gateway')!
  if (!stage.pgbench) throw new Error('nothing to measure with')
  const load = { mode, clients: 8, seconds }
  await runPgbench(stage.pgbench, gateway, { ...load, seconds: 2 }, stage.directory)
  const from = monotonic()
  const { transactions } = await runPgbench(stage.pgbench, gateway, load, stage.directory)
  const to = monotonic()
  stage.gateway.kill('SIGTERM')
  await stage.gateway.ended
  return { from, to, statements: transactions }
}

function monotonic(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** Functions by the time spent in themselves, the most first; `total` includes what they call. */
function linesOf(profile: Profile, load: Load): readonly string[] {
  const times = functionTimes(profile, load)
  const top = [...times].toSorted(([, a], [, b]) => b.own - a.own).slice(0, SHOWN)
  const each = (time: number): string => (time / load.statements).toFixed(2).padStart(8)
  return top.map(([name, { own, total }]) => `${each(own)} ${each(total)}  ${name}`)
}

function functionTimes(profile: Profile, span: Span): ReadonlyMap<string, Times> {
  const stacks = stacksOf(profile)
  const times = new Map<string, Times>()
  for (const [leaf, time] of leafTimes(profile, span)) {
    const [own, ...callers] = stacks.get(leaf)!
    timesOf(times, own!).own += time
    for (const name of new Set([own!, ...callers])) timesOf(times, name).total += time
  }
  return times
}

function timesOf(times: Map<string, Times>, name: string): Times {
  const known = times.get(name) ?? { own: 0, total: 0 }
  times.set(name, known)
  return known
}

function leafTimes({ samples, timeDeltas, startTime }: Profile, { from, to }: Span): ReadonlyMap<number, number> {
  const times = new Map<number, number>()
  let at = startTime
  samples.forEach((leaf, index) => {
    at += timeDeltas[index]!
    if (at >= from && at <= to) times.set(leaf, (times.get(leaf) ?? 0) + timeDeltas[index]!)
  })
  return times
}

/** Node to the names of its function and of those that called it, innermost first. */
function stacksOf({ nodes }: Profile): ReadonlyMap<number, readonly string[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const stacks = new Map<number, readonly string[]>()
  const walk = ({ id, callFrame, children = [] }: Node, callers: readonly string[]): void => {
    const stack = [nameOf(callFrame, callers), ...callers]
    stacks.set(id, stack)
    for (const child of children) walk(byId.get(child)!, stack)
  }
  walk(nodes[0]!, [])
  return stacks
}

/** Native functions have no place of their own: they are told apart by who calls them. */
function nameOf({ functionName, url, lineNumber }: Node['callFrame'], callers: readonly string[]): string {
  if (url === '') return callers.length < 2 ? functionName : `${functionName || '(native)'} of ${callers[0]}`
  const path = url.startsWith('file://') ? relative(ROOT, new URL(url).pathname) : url
  return `${functionName || '(anonymous)'}  ${path}:${lineNumber + 1}`
}

await main(process.argv.slice(2))
