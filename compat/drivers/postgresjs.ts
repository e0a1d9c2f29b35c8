import { join } from 'node:path'
import { runNode } from './child.ts'
import type { Arm } from './arm.ts'
import type { Results, Suite } from './suite.ts'

/** Instead of the `postgres_js_test` in its code, which is no name for a target. */
const DATABASE = 'compat'
const USER = 'postgres_js_test'
const TOKEN = 'a gateway takes a token, not the password of a role'
const NAMED = 'sessions have a name of the gateway, which tells whose they are'
const REPLICATION = 'replication is refused'
const SOON = 'gives a connection 50 ms to open, which fails directly too when the machine is busy'
const SUITE_MS = 480_000
/** Of a suite that broke off the reader sees this much. */
const LAST = 1_000

/** postgres.js: `tests/index.js`, with its runner replaced by one that goes on after a failure (postgresjs.preload.ts). */
export const postgresjs: Suite = {
  name: 'postgresjs',
  about: "postgres.js' own suite: a checkout of https://github.com/porsager/postgres",
  databases: [DATABASE, 'postgres'],
  setup: [
    `CREATE USER ${USER} SUPERUSER`,
    `SET password_encryption = 'md5'; CREATE USER ${USER}_md5 PASSWORD '${USER}_md5'`,
    `CREATE USER ${USER}_scram PASSWORD '${USER}_scram'`,
  ],
  settings: ['wal_level=logical', 'max_prepared_transactions=10'],
  hba: [
    'host all postgres samehost scram-sha-256',
    `host all ${USER} samehost trust`,
    `host all ${USER}_md5 samehost md5`,
    `host all ${USER}_scram samehost scram-sha-256`,
    'host replication all samehost trust',
  ],
  reasons: {
    'Login using MD5': TOKEN,
    'Login using scram-sha-256': TOKEN,
    'Parallel connections using scram-sha-256': TOKEN,
    'Support dynamic password function': TOKEN,
    'Support dynamic async password function': TOKEN,
    'requests works after single connect_timeout': TOKEN,
    'throws correct error when authentication fails': 'a bad token is 28000, not 28P01',
    'responds with server parameters (application_name)': NAMED,
    'has server parameters': NAMED,
    'connect_timeout throws proper error': TOKEN,
    'listen and notify with weird name': SOON,
    'listen reconnects': SOON,
    'listen result reports correct connection state after reconnection': SOON,
    subscribe: REPLICATION,
    'subscribe with transform': REPLICATION,
    'subscribe reconnects and calls onsubscribe': REPLICATION,
  },
  run: async (checkout, arm) => {
    const preload = join(import.meta.dirname, 'postgresjs.preload.ts')
    const args = ['--import', preload, join('tests', 'index.js')]
    const { code, output } = await runNode(args, checkout, environment(arm), SUITE_MS)
    if (code !== 0) console.log(`the suite did not end by itself:\n${output.slice(-LAST)}`)
    return readOutput(output)
  },
}

function environment({ port, password, server }: Arm): Readonly<Record<string, string>> {
  return {
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'postgres',
    PGPASSWORD: password,
    PGDATABASE: 'postgres',
    SERVER: server,
    DATABASE,
  }
}

/** A line of JSON for each test: what the replaced runner prints. */
function readOutput(output: string): Results {
  const lines = output.split('\n').filter((line) => line.startsWith('{"test":'))
  const results = lines.map((line) => JSON.parse(line) as { readonly test: string; readonly failure?: string })
  if (results.length === 0) throw new Error(`the suite ran no test:\n${output}`)
  return new Map(results.map(({ test, failure }) => [test, failure]))
}
