import { resolve } from 'node:path'
import { openArm, type Arm } from './arm.ts'
import { pg } from './pg.ts'
import { postgresjs } from './postgresjs.ts'
import { report } from './report.ts'
import type { Results, Suite } from './suite.ts'

const SUITES: readonly Suite[] = [pg, postgresjs]

const USAGE = `Usage: npm run compat -- SUITE CHECKOUT

Runs the test suite of a client directly and through a gateway, and prints what differs.

${SUITES.map(({ name, about }) => `  ${name.padEnd(12)}${about}`).join('\n')}`

async function main([name, checkout]: readonly string[]): Promise<number> {
  const suite = SUITES.find((suite) => suite.name === name)
  if (!suite || checkout === undefined) {
    console.log(USAGE)
    return 2
  }
  const direct = await run(suite, checkout, 'directly')
  const through = await run(suite, checkout, 'through the gateway')
  return report(suite, direct, through) === 0 ? 0 : 1
}

async function run(suite: Suite, checkout: string, name: Arm['name']): Promise<Results> {
  await using arm = await openArm(name, suite)
  console.log(`${suite.name} ${name} …`)
  return await suite.run(resolve(checkout), arm)
}

process.exitCode = await main(process.argv.slice(2))
