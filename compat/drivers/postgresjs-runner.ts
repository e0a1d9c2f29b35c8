import { spawnSync } from 'node:child_process'
import { inspect } from 'node:util'
import { tellResult } from './results.ts'

type Body = () => unknown
type Options = { readonly timeout?: number }
type Test = (name: string, ...rest: readonly [Body] | readonly [Options, Body]) => void

/** Seconds that a test may take where it does not say. */
const PATIENCE = 5
/** A busy machine is slower than theirs. */
const SLOWNESS = 3

/** Runs the tests one after the other; one that fails stops no other. */
function createRunner(): Test {
  const names = new Set<string>()
  let before: Promise<void> = Promise.resolve()
  // By then all tests are there. A connection that a failed one left open would keep the process from ending.
  setImmediate(() => void before.then(() => process.exit()))
  return (name, ...rest) => {
    const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
    const test = names.has(name) ? `${name} (again)` : name
    names.add(test)
    before = before.then(async () => {
      tellResult(test, await failureOf(body, options.timeout ?? PATIENCE))
    })
  }
}

/** `body` gives what is expected and what came. */
async function failureOf(body: Body, seconds: number): Promise<string | undefined> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('Timed out')), seconds * SLOWNESS * 1_000)
  try {
    const [expected, got] = await Promise.race([resultOf(body), late.promise])
    return expected === got ? undefined : `${inspect(expected)} != ${inspect(got)}`
  } catch (error) {
    return inspect(error)
  } finally {
    clearTimeout(timer)
  }
}

async function resultOf(body: Body): Promise<readonly unknown[]> {
  return Promise.all((await body()) as readonly unknown[])
}

/** A client that a failed test has left behind goes on connecting, and nobody waits for what comes of it. */
process.on('unhandledRejection', () => undefined)

export const t = createRunner()
export const ot = t

/** A test that is left out. */
export function nt(): void {}

/** What a test does to its server, it does to the server itself. */
export function exec(command: string, args: readonly string[]): void {
  const { stderr } = spawnSync(command, ['-d', process.env.SERVER ?? '', ...args], { encoding: 'utf8' })
  if (stderr.includes('ERROR:') || stderr.includes('FATAL:')) throw new Error(stderr)
}
