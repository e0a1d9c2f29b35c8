import { resolve } from 'node:path'
import { openArm, type Arm } from './arm.ts'
import type { Results } from './results.ts'
import type { Suite } from './suite.ts'

/** Of a difference the reader sees this much. */
const SHOWN = 1_200

/** Runs a suite both ways, once, and prints which tests differ; true when each of these has its reason. */
export async function compareSuite(suite: Suite, checkout: string): Promise<boolean> {
  const direct = await run(suite, checkout, 'directly')
  const through = await run(suite, checkout, 'through the gateway')
  return report(suite, direct, through) === 0
}

async function run(suite: Suite, checkout: string, name: Arm['name']): Promise<Results> {
  await using arm = await openArm(name, suite)
  console.log(`${suite.name} ${name} …`)
  return await suite.run(resolve(checkout), arm)
}

/** Prints the passes of both arms and every test that differs; how many of these have no reason. */
function report({ reasons }: Suite, direct: Results, through: Results): number {
  if (count(direct) === 0) throw new Error(`no test passes directly: ${[...direct.values()][0] ?? 'there is none'}`)
  const tests = [...new Set([...direct.keys(), ...through.keys()])]
  const lost = tests.filter((test) => passes(direct, test) && !passes(through, test))
  const gained = tests.filter((test) => !passes(direct, test) && passes(through, test))
  const neither = tests.filter((test) => !passes(direct, test) && !passes(through, test))
  const unexplained = [...lost, ...gained].filter((test) => reasons[test] === undefined)
  console.log(`\ndirectly             ${count(direct)} of ${tests.length} pass`)
  console.log(`through the gateway  ${count(through)} of ${tests.length} pass\n`)
  for (const test of neither) console.log(`neither way: ${test}\n    ${lastLine(direct.get(test))}`)
  for (const test of gained) console.log(`through the gateway only: ${test}\n    ${reasons[test] ?? ''}`)
  for (const test of lost) console.log(`directly only: ${test}\n    ${reasons[test] ?? ''}`)
  for (const test of Object.keys(reasons))
    if (passes(direct, test) === passes(through, test)) console.log(`the same, though it may differ: ${test}`)
  for (const test of unexplained) {
    const failed = passes(direct, test) ? through : direct
    console.log(`\n--- without a reason: ${test}\n${(failed.get(test) ?? 'did not run').slice(0, SHOWN)}`)
  }
  return unexplained.length
}

function passes(results: Results, test: string): boolean {
  return results.has(test) && results.get(test) === undefined
}

/** Where a program that failed says why. */
function lastLine(failure = 'did not run'): string {
  return failure.split('\n').find((line) => /error|timed out|not over/i.test(line)) ?? failure.slice(0, 100)
}

function count(results: Results): number {
  return [...results.keys()].filter((test) => passes(results, test)).length
}
