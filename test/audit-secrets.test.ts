import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { connectTo, createToken, sallyport, serve } from './command.ts'
import { startScene, type Scene } from './scene.ts'
import { ADMIN_PASSWORD, startShop } from './shop.ts'
import { within } from './waiting.ts'

/** What stands in the sensitive columns of the shop, and in its free text. */
const VALUES = ['ada@example.com', 'grace@example.com', '4111111111111111', '5500005555555559', '4111-1111-1111-1111']

/** Statements that touch every one of them, in ways that are answered and in ways that are not. */
const STATEMENTS = [
  'SELECT * FROM customers',
  'SELECT contact FROM contacts',
  'SELECT customers FROM customers',
  'SELECT email::int FROM customers',
  `SELECT * FROM customers WHERE email LIKE 'a%'`,
  'COPY customers TO STDOUT',
  'SELECT row_to_json(customers) FROM customers',
  'SELECT notes::int FROM customers WHERE id = 1',
  'INSERT INTO orders SELECT id, id, email::numeric FROM customers',
  'SELECT * FROM nothing_here',
]

describe('secrets and sensitive values', () => {
  let scene: Scene
  const tokens: string[] = []
  const passwords: string[] = []
  /** Everything that clients were told. */
  const told: string[] = []
  before(async () => {
    watchPasswords(passwords)
    scene = await startScene({ settings: ['log_statement=all'] })
    tokens.push(
      await scene.token(),
      await scene.token({ kind: 'User', name: 'olga', groups: ['platform', 'security', 'dba'] }),
    )
    const client = await scene.connect(tokens[0])
    client.on('notice', (notice) => told.push(JSON.stringify(notice)))
    for (const text of STATEMENTS) {
      for (const query of [{ text }, { text, values: [], rowMode: 'array' as const }]) {
        const answer = await client.query(query).then(
          ({ rows, fields }) => ({ rows: rows as unknown, fields }),
          (error: Error) => [JSON.stringify(error), error.message],
        )
        told.push(JSON.stringify(answer))
      }
    }
    await client.query(`UPDATE orders SET total = 3 WHERE id = 10`).catch(() => undefined)
    await client.end()
    await scene.connect(`${tokens[0]}x`).catch((error: Error) => told.push(JSON.stringify(error) + error.message))
    await within('the sessions are closed', async () => scene.checkpoints.length > 0)
  })
  after(async () => {
    mock.restoreAll()
    syncBuiltinESMExports()
    await scene[Symbol.asyncDispose]()
  })

  /** Where nothing of it may occur: each sink by its name. Recorded answers are read as bytes too. */
  const sinks = async (): Promise<ReadonlyMap<string, string>> => {
    const records = await scene.records()
    const answers = records.map((record) =>
      'bytes' in record && record.bytes ? Buffer.from(record.bytes, 'base64').toString('latin1') : '',
    )
    const session = records.find((record) => record.type === 'session.opened')
    const api = await Promise.all(
      ['sessions', 'approvals', 'nothing-here'].map((path) => scene.api(tokens[1]!, `/api/v1/${path}`).catch(String)),
    )
    const replayed = await sallyport([
      'replay',
      session?.type === 'session.opened' ? session.session : '',
      '--config',
      scene.config,
    ])
    const exported = await sallyport(['audit', 'export', '--config', scene.config, '--json'])
    return new Map([
      ['the records', JSON.stringify(records)],
      ['the recorded answers', answers.join('\n')],
      ['the files of the data directory', await textOfFiles(scene.gateway.config.data)],
      ['what clients were told', told.join('\n')],
      ['the standard output', [...scene.checkpoints, ...scene.warnings].join('\n')],
      ['the API', JSON.stringify(api)],
      ['replay', replayed.stdout + replayed.stderr],
      ['audit export', exported.stdout + exported.stderr],
    ])
  }

  it('occur nowhere but where they belong', async () => {
    assert.equal(new Set(passwords).size, 1)
    const canaries = [
      ADMIN_PASSWORD,
      ...passwords,
      ...VALUES,
      ...tokens,
      ...tokens.map((token) => token.split('.')[2]!),
    ]
    const found: string[] = []
    for (const [sink, text] of await sinks()) {
      assert.ok(text.length > 100, `${sink} is something to look through`)
      found.push(...canaries.filter((canary) => text.includes(canary)).map((canary) => `${canary} in ${sink}`))
    }
    assert.deepEqual(found, [])
  })

  it('would be found where a statement of the client itself names one', async () => {
    const client = await scene.connect()
    await client.query(`SELECT 'ada@example.com' AS mine`)
    await client.end()
    assert.ok((await sinks()).get('the records')?.includes(VALUES[0]!))
  })

  it('leave the password of a session out of the log of the target as well', () => {
    const lines = scene.postgres.logLines().filter((line) => line.includes('CREATE ROLE "sp_'))
    assert.ok(lines.length > 0)
    const text = scene.postgres.logLines().join('\n')
    assert.ok(text.includes('SCRAM-SHA-256$'))
    assert.deepEqual(
      passwords.filter((password) => text.includes(password)),
      [],
    )
  })

  it('are not among the arguments of the process, nor in what it says', async () => {
    await using shop = await startShop()
    await using gateway = await serve(shop.config)
    const token = await createToken(shop.config)
    const client = await connectTo(gateway.postgres, token)
    await client.query('SELECT * FROM customers')
    const command = await readFile(`/proc/${gateway.pid}/cmdline`, 'utf8')
    await client.end()
    gateway.kill('SIGTERM')
    const { stdout, stderr } = await gateway.ended
    const files = await textOfFiles(join(shop.directory, 'sallyport-data'))
    for (const text of [command, stdout + stderr, files]) {
      assert.ok(text.length > 10)
      assert.deepEqual(
        [ADMIN_PASSWORD, token, ...VALUES].filter((canary) => text.includes(canary)),
        [],
      )
    }
  })
})

/** Session roles log in by 24 random bytes: notes each as the password it becomes. */
function watchPasswords(passwords: string[]): void {
  const { randomBytes } = crypto
  mock.method(crypto, 'randomBytes', (size: number) => {
    const bytes = randomBytes(size)
    if (size === 24) passwords.push(bytes.toString('base64url'))
    return bytes
  })
  syncBuiltinESMExports()
}

/** All files below a directory, the gateway's own keys left out, byte for byte. */
async function textOfFiles(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && !entry.parentPath.endsWith('/keys'))
  return (await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'latin1')))).join('\n')
}
