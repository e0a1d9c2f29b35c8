import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runNode, type Ended } from './child.ts'
import type { Arm } from './arm.ts'
import { readResults, restOf, type Results } from './results.ts'
import type { Suite } from './suite.ts'

const DATABASE = 'node_postgres_test'
const SCRAM = { user: 'scram_test', password: 'test4scram' }
/** ROMAN NUMERAL IX, which SASLprep makes two letters of. */
const UNICODE = { user: 'scram_unicode_test', password: 'IX-\u2168' }
const USER = 'expects a user name to be wrong: a token says who connects, the user name is ignored'
const MECHANISM = 'is about SCRAM: a gateway takes a token as password in clear, not the password of a role'
const FILE_MS = 120_000
const PRELOAD = join(import.meta.dirname, 'pg.preload.ts')

/**
 * node-postgres: `packages/pg`, every file of `test/integration` as a program of its own, as its Makefile runs them, but
 * with a runner that goes on after a failure (pg.preload.ts).
 */
export const pg: Suite = {
  name: 'pg',
  about: "node-postgres' own suite: packages/pg of https://github.com/brianc/node-postgres, its dependencies installed",
  databases: [DATABASE, 'postgres', 'template1'],
  setup: [
    `CREATE ROLE ${SCRAM.user} LOGIN PASSWORD '${SCRAM.password}'`,
    `CREATE ROLE ${UNICODE.user} LOGIN PASSWORD U&'IX-\\2168'`,
  ],
  // A test leaves a client behind that has not said its password: its file ends when the server gives it up.
  settings: ['authentication_timeout=10s'],
  reasons: {
    ...named('client/error-handling-tests.js', USER, [
      'non-query error with callback',
      'when connecting to an invalid host with callback',
      'when connecting to invalid host with promise',
      'non-query error',
    ]),
    ...named('client/sasl-scram-tests.js', MECHANISM, [
      'can connect using sasl/scram with channel binding enabled (if using SSL)',
      'can connect using sasl/scram with channel binding disabled',
      'sasl/scram fails when password is wrong',
      'sasl/scram fails when password is empty',
      'sasl/scram authenticates a password requiring SASLprep (raw form)',
      'sasl/scram authenticates the NFKC-equivalent ASCII form of the same password',
      'sasl/scram fails when unicode password is wrong',
    ]),
  },
  run: async (checkout, arm) => {
    const results = new Map<string, string | undefined>()
    for (const file of await testFiles(join(checkout, 'test', 'integration'))) {
      const args = ['--import', PRELOAD, join('test', 'integration', file)]
      const ended = await runNode(args, checkout, environment(arm), FILE_MS)
      for (const [test, failure] of readFile(file, ended)) results.set(test, failure)
    }
    return results
  },
}

function named(file: string, reason: string, tests: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(tests.map((test) => [`${file}: ${test}`, reason]))
}

async function testFiles(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder, { recursive: true })
  return files.filter((file) => file.endsWith('-tests.js')).sort()
}

/** What its CI sets. */
function environment({ port, password }: Arm): Readonly<Record<string, string>> {
  return {
    NODE_NO_WARNINGS: '1',
    TEST_TIMEOUT: '15000',
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'postgres',
    PGPASSWORD: password,
    PGDATABASE: DATABASE,
    SCRAM_TEST_PGUSER: SCRAM.user,
    SCRAM_TEST_PGPASSWORD: SCRAM.password,
    SCRAM_TEST_PGUSER_UNICODE: UNICODE.user,
    SCRAM_TEST_PGPASSWORD_UNICODE: UNICODE.password,
  }
}

/** What a file does besides the tests of its suite counts as one more. */
function readFile(file: string, { code, output }: Ended): Results {
  const tests = [...readResults(output)].map(([test, failure]) => [`${file}: ${test}`, failure] as const)
  return new Map<string, string | undefined>(tests).set(file, code === 0 ? undefined : restOf(output))
}
