import { inspect } from 'node:util'
import { tellResult } from './results.ts'

type Done = (error?: unknown) => void
type Action = (done?: Done) => unknown

/** For each test, in ms; theirs is 5,000, and a busy machine is slower than theirs. */
const PATIENCE_MS = 15_000
/** A client that a failed test has left behind keeps the process from ending. */
const LEAVE_MS = 500

/** As node-postgres' `test/suite.js`, but a test that fails stops no other. */
class Suite {
  #before: Promise<unknown> = Promise.resolve()
  readonly #names = new Set<string>()
  #left = 0
  #failed = false

  test(name: string, action?: Action): void {
    if (!action) return
    const test = this.#names.has(name) ? `${name} (again)` : name
    this.#names.add(test)
    this.#left++
    this.#before = this.#before.then(async () => {
      const failure = await failureOf(action)
      this.#failed ||= failure !== undefined
      tellResult(test, failure)
      if (--this.#left === 0 && this.#failed) setTimeout(() => process.exit(), LEAVE_MS).unref()
    })
  }
}

async function failureOf(action: Action): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = setTimeout(() => reject(new Error(`not over after ${PATIENCE_MS / 1_000} s`)), PATIENCE_MS)
  // Their helper ends the process with whatever is thrown in a callback.
  process.removeAllListeners('uncaughtException').on('uncaughtException', reject)
  try {
    if (action.length > 0) action((error) => (error ? reject(error) : resolve()))
    else Promise.resolve(action()).then(() => resolve(), reject)
    await promise
    return undefined
  } catch (error) {
    return inspect(error)
  } finally {
    clearTimeout(late)
    process.removeAllListeners('uncaughtException').on('uncaughtException', endWith)
  }
}

/** Outside the tests it is the file that fails. */
function endWith(error: unknown): void {
  console.error(inspect(error))
  process.exit(1)
}

/** What `require` gives. */
export { Suite as 'module.exports' }
