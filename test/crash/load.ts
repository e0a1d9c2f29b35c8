import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectTo } from '../command.ts'
import { findPgbench } from '../../bench/stage/pgbench-program.ts'

/** Why tests with pgbench are left out: on a machine without it, said in their output; never in CI, where they fail. */
export const WITHOUT_PGBENCH =
  process.env.CI || findPgbench() !== undefined ? false : 'pgbench is not installed (Debian: postgresql)'

/** Rows of the table `load`, which `TABLE` makes. */
const ROWS = 1_000

export const TABLE = `
CREATE TABLE load (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO load SELECT id, 0 FROM generate_series(1, ${ROWS}) AS id;
ALTER TABLE load OWNER TO orders_owner;
GRANT SELECT, UPDATE, DELETE ON load TO orders_writer`

/** As written a variable stands for its text; a prepared statement gets it as a parameter, even inside a comment. */
const TAG = '/* k :round :client_id :n */'
const EACH = `\\set n :n + 1\n\\set id random(1, ${ROWS})`

const SIMPLE = {
  read: `${EACH}\nSELECT n ${TAG} FROM load WHERE id = :id;\n`,
  write: `${EACH}\nUPDATE load SET n = n + 1 ${TAG} WHERE id = :id;\n`,
  lines: `${EACH}\nSELECT n\n\t${TAG}\n  FROM load WHERE id = :id\n  AND 'it''s' <> '';\n`,
  transaction: `${EACH}
BEGIN ${TAG};
UPDATE load SET n = n + 1 ${TAG} WHERE id = :id;
SELECT n ${TAG} FROM load WHERE id = :id;
COMMIT ${TAG};
`,
}

const PREPARED = {
  'prepared-read': `${EACH}\nSELECT n, :client_id::int, :n::int FROM load WHERE id = :id;\n`,
  'prepared-write': `${EACH}\nUPDATE load SET n = :n * 100 + :client_id WHERE id = :id;\n`,
  'prepared-transaction': `${EACH}
BEGIN;
UPDATE load SET n = :n * 100 + :client_id WHERE id = :id;
SELECT n, :client_id::int, :n::int FROM load WHERE id = :id;
END;
`,
}

/** Clients of every kind: one of them connects anew for each transaction. */
const KINDS: readonly { readonly scripts: object; readonly options: readonly string[] }[] = [
  { scripts: SIMPLE, options: ['--protocol=simple', '--client=3'] },
  { scripts: PREPARED, options: ['--protocol=prepared', '--client=2'] },
  { scripts: PREPARED, options: ['--protocol=extended', '--client=1'] },
  { scripts: SIMPLE, options: ['--protocol=simple', '--client=1', '--connect'] },
]

export type LoadOptions = {
  readonly port: number
  readonly token: string
  readonly seed: number
  readonly round: number
  /** With the files that `writeScripts` wrote. */
  readonly directory: string
}

export async function writeScripts(directory: string): Promise<void> {
  for (const [name, text] of Object.entries({ ...SIMPLE, ...PREPARED })) await writeFile(join(directory, name), text)
}

/** pgbench's clients until the gateway is gone; resolves, then, to what they said. */
export async function runLoad(load: LoadOptions): Promise<string> {
  const [held, ...said] = await Promise.all([runHeld(load), ...KINDS.map((kind) => runKind(kind, load))])
  return [held, ...said].join('')
}

/** What is held and refused at once with a ticket, one after the other: pgbench gives up at the first refusal. */
async function runHeld({ port, token, round }: LoadOptions): Promise<string> {
  try {
    const client = await connectTo(port, token)
    for (let n = 1; ; n++) {
      const refusal: unknown = await client
        .query(`DELETE FROM load WHERE id = ${n} /* k ${round} held */`)
        .catch((error: unknown) => error)
      if ((refusal as { readonly code?: string }).code !== 'SP001') return String(refusal)
    }
  } catch (error) {
    return String(error)
  }
}

async function runKind({ scripts, options }: (typeof KINDS)[number], load: LoadOptions): Promise<string> {
  const { port, token, seed, round, directory } = load
  const where = ['--host=127.0.0.1', `--port=${port}`, '--username=agent']
  const what = ['--no-vacuum', '--time=60', `--random-seed=${seed}`, '--define=n=0', `--define=round=${round}`]
  const files = Object.keys(scripts).map((name) => `--file=${join(directory, name)}`)
  const child = spawn(findPgbench()!.path, [...where, ...what, ...options, ...files, 'orders'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, PGPASSWORD: token, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  await once(child, 'close')
  return said
}
