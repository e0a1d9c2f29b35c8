import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runNode, type Ended } from './child.ts'
import type { Arm } from './arm.ts'
import type { Results, Suite } from './suite.ts'

const DATABASE = 'compat'
const SCRAM = { user: 'scram_test', password: 'test4scram' }
/** ROMAN NUMERAL IX, which SASLprep makes two letters of. */
const UNICODE = { user: 'scram_unicode_test', password: 'IX-\u2168' }
const FILE_MS = 60_000

/** node-postgres: `packages/pg`, every file of `test/integration` as a program of its own, as its Makefile runs them. */
export const pg: Suite = {
  name: 'pg',
  about: "node-postgres' own suite: packages/pg of https://github.com/brianc/node-postgres, its dependencies installed",
  databases: [DATABASE, 'postgres', 'template1'],
  setup: [
    `CREATE ROLE ${SCRAM.user} LOGIN PASSWORD '${SCRAM.password}'`,
    `CREATE ROLE ${UNICODE.user} LOGIN PASSWORD U&'IX-\\2168'`,
  ],
  settings: [],
  reasons: {
    'client/sasl-scram-tests.js': 'a gateway takes a token, not the password of a role',
    'client/appname-tests.js': 'sessions have a name of the gateway, which tells whose they are',
    'client/error-handling-tests.js': 'expects a user name to be wrong: a gateway takes a token and no user name',
    'gh-issues/1105-tests.js': '5,000 autocommit INSERTs in 5 s: each is on disk in the log before it is sent',
  },
  run: async (checkout, arm) => {
    const results = new Map<string, string | undefined>()
    for (const file of await testFiles(join(checkout, 'test', 'integration'))) {
      const ended = await runNode([join('test', 'integration', file)], checkout, environment(arm), FILE_MS)
      for (const [test, failure] of readFile(file, ended)) results.set(test, failure)
    }
    return results
  },
}

async function testFiles(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder, { recursive: true })
  return files.filter((file) => file.endsWith('-tests.js')).sort()
}

/** What its CI sets. */
function environment({ port, password }: Arm): Readonly<Record<string, string>> {
  return {
    NODE_NO_WARNINGS: '1',
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

/** A file ends with the first of its tests that fails. What it has besides tests of its suite counts as one more. */
function readFile(file: string, { code, output }: Ended): Results {
  const passed = [...output.matchAll(/^ {2}(.+) ✔$/gm)].map(([, test]) => test!)
  const results = new Map<string, string | undefined>(passed.map((test) => [`${file}: ${test}`, undefined]))
  return results.set(file, code === 0 ? undefined : output.trim())
}
