import { join } from 'node:path'
import { runNode } from './child.ts'
import type { Arm } from './arm.ts'
import { readResults } from './results.ts'
import type { Suite } from './suite.ts'

const NAME = 'postgres_js_test'
const MECHANISM = 'is about a mechanism: a gateway takes a token as password in clear, not the password of a role'
const REPLICATION = 'replication is refused'
const TIMES = 'races with the clock (10 to 500 ms): on a busy machine it loses directly as well'
const SUITE_MS = 480_000
/** Of a suite that broke off the reader sees this much. */
const LAST = 1_000

/** postgres.js: `tests/index.js`, with its runner replaced by one that goes on after a failure (postgresjs.preload.ts). */
export const postgresjs: Suite = {
  name: 'postgresjs',
  about: "postgres.js' own suite: a checkout of https://github.com/porsager/postgres",
  databases: [NAME, 'postgres'],
  setup: [
    `CREATE USER ${NAME} SUPERUSER`,
    `SET password_encryption = 'md5'; CREATE USER ${NAME}_md5 PASSWORD '${NAME}_md5'`,
    `CREATE USER ${NAME}_scram PASSWORD '${NAME}_scram'`,
  ],
  settings: ['wal_level=logical', 'max_prepared_transactions=10'],
  hba: [
    'host all postgres samehost scram-sha-256',
    `host all ${NAME} samehost trust`,
    `host all ${NAME}_md5 samehost md5`,
    `host all ${NAME}_scram samehost scram-sha-256`,
    'host replication all samehost trust',
  ],
  reasons: {
    'Login using MD5': MECHANISM,
    'Login using scram-sha-256': MECHANISM,
    'Parallel connections using scram-sha-256': MECHANISM,
    'listen and notify with weird name': TIMES,
    'listen reconnects': TIMES,
    'listen result reports correct connection state after reconnection': TIMES,
    'reserve connection': TIMES,
    'Cancel piped query': TIMES,
    subscribe: REPLICATION,
    'subscribe with transform': REPLICATION,
    'subscribe reconnects and calls onsubscribe': REPLICATION,
  },
  run: async (checkout, arm) => {
    const preload = join(import.meta.dirname, 'postgresjs.preload.ts')
    const args = ['--import', preload, join('tests', 'index.js')]
    const { code, output } = await runNode(args, checkout, environment(arm), SUITE_MS)
    if (code !== 0) console.log(`the suite did not end by itself:\n${output.slice(-LAST)}`)
    const results = readResults(output)
    if (results.size === 0) throw new Error(`the suite ran no test:\n${output}`)
    return results
  },
}

/** `ROLE_PASSWORD`: what a client gives where a test has the password of a role. */
function environment({ name, port, password, server }: Arm): Readonly<Record<string, string>> {
  return {
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'postgres',
    PGPASSWORD: password,
    PGDATABASE: 'postgres',
    SERVER: server,
    ...(name === 'directly' ? {} : { ROLE_PASSWORD: password }),
  }
}
