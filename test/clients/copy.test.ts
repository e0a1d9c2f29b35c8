import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Client, type Connection } from 'pg'
import { startScene, type Scene } from '../scene.ts'
import { runPsql, startPsql, type Ended, WITHOUT_PSQL } from './psql.ts'

/** Everything is permitted; two columns of customers are hidden all the same. */
const POLICIES = `
@id("all-connect") permit (principal, action == Action::"connect", resource == Target::"orders");
@id("all-do") permit (
  principal,
  action in [Action::"read", Action::"write", Action::"schema", Action::"execute", Action::"session", Action::"privilege"],
  resource in Target::"orders"
);
@id("not-these") forbid (principal, action == Action::"sql.insert", resource == Table::"orders/public.customers");`

const PGBENCH = '/usr/bin/pgbench'
const WITHOUT_PGBENCH = process.env.CI || existsSync(PGBENCH) ? false : 'pgbench is not installed'

let scene: Scene
let password: string
before(async () => {
  scene = await startScene({ policies: POLICIES })
  password = await scene.token()
})
after(() => scene?.[Symbol.asyncDispose]())
afterEach(() => scene.truth('DELETE FROM orders WHERE id >= 100'))

const port = (): number => scene.gateway.postgres.port
const psql = (...commands: readonly string[]): Promise<Ended> =>
  runPsql({ port: port(), password, arguments: ['-At'] }, ...commands)
const file = (name: string): string => join(scene.directory, name)
const added = async (): Promise<readonly unknown[]> =>
  (await scene.truth('SELECT id, total::text FROM orders WHERE id >= 100 ORDER BY id')).map(({ id, total }) => [
    id,
    total,
  ])

describe('psql', { skip: WITHOUT_PSQL }, () => {
  it('copies to a file and back, as text, csv and binary', async () => {
    const out = await psql(
      `\\copy orders to '${file('orders.txt')}'`,
      `\\copy (select id, notes from customers order by id) to '${file('notes.csv')}' csv header`,
      `\\copy orders to '${file('orders.bin')}' binary`,
    )
    assert.match(out.output, /^COPY 3\nCOPY 3\nERROR: {2}42501: COPY in binary is refused/)
    assert.equal(await readFile(file('orders.txt'), 'utf8'), '10\t1\t99.50\n11\t1\t12.00\n12\t2\t250.00\n')
    assert.equal(await readFile(file('notes.csv'), 'utf8'), 'id,notes\n1,"card *** on file"\n2,prefers e-mail\n3,\n')
    await writeFile(file('in.txt'), '100\t1\t1.5\n101\t2\t2\n')
    await writeFile(file('in.csv'), 'id,customer_id,total\n102,1,"3.25"\n')
    const direct = { user: 'postgres', port: scene.postgres.port }
    const binary = `\\copy (select 103, 1, 4.0::numeric) to '${file('in.bin')}' binary`
    await runPsql({ port: port(), password: 'the-superuser', connection: direct }, binary)
    const back = await psql(
      `\\copy orders from '${file('in.txt')}'`,
      `\\copy orders from '${file('in.csv')}' csv header`,
      `\\copy orders from '${file('in.bin')}' binary`,
    )
    assert.equal(back.output, 'COPY 2\nCOPY 1\nCOPY 1\n')
    assert.deepEqual(await added(), [[100, '1.5'], [101, '2'], [102, '3.25'], [103, '4.0']]) // prettier-ignore
  })

  it('runs a script with rows in it', async () => {
    const given = startPsql({ port: port(), password, arguments: ['-At'] })
    for (const line of ['BEGIN;', 'COPY orders FROM STDIN;', '110\t1\t7', '111\t2\t8', '\\.', 'COMMIT;', 'SELECT 5;'])
      given.type(line)
    assert.equal((await given.end()).output, 'BEGIN\nCOPY 2\nCOMMIT\n5\n')
    assert.deepEqual(await added(), [[110, '7'], [111, '8']]) // prettier-ignore
  })

  it('hears of a row that is none and of a COPY that is refused, and goes on', async () => {
    const given = startPsql({ port: port(), password, arguments: ['-At'] })
    await writeFile(file('one.txt'), '9\tx\n')
    const lines = [
      '\\copy orders from stdin',
      'x\t1\t7',
      '112\t1\t7',
      '\\.',
      `\\copy customers from '${file('one.txt')}'`,
    ]
    for (const line of [...lines, '\\copy customers to stdout', 'SELECT 5;']) given.type(line)
    const { output } = await given.end()
    assert.deepEqual(output.match(/ERROR: {2}\w{5}/g), ['ERROR:  22P02', 'ERROR:  42501', 'ERROR:  42501'])
    assert.match(output, /name the other columns, COPY public\.customers \(id, name, notes, balance\) TO STDOUT/)
    assert.match(output, /^5$/m)
    assert.doesNotMatch(output, /ada@|4111/)
    assert.deepEqual(await added(), [])
  })
})

describe('pgbench', { skip: WITHOUT_PGBENCH }, () => {
  it('makes and fills its tables, and runs', async () => {
    const run = (...options: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
      promisify(execFile)(PGBENCH, ['-h', '127.0.0.1', '-p', String(port()), '-U', 'agent', ...options, 'orders'], {
        env: { LC_ALL: 'C.UTF-8', PGPASSWORD: password },
      })
    await run('-i', '-q')
    assert.deepEqual(await scene.truth('SELECT count(*)::int AS n FROM pgbench_accounts'), [{ n: 100_000 }])
    // What a session makes belongs to the owner afterwards: who may use it is the administrator's to say.
    await scene.truth('GRANT ALL ON ALL TABLES IN SCHEMA public TO orders_writer')
    const { stdout } = await run('-n', '-t', '5')
    assert.match(stdout, /number of transactions actually processed: 5\/5/)
  })
})

/** What node-postgres calls while its connection is in a COPY: the part of a query that copy libraries write. */
class Copy {
  readonly rows: Buffer[] = []
  readonly ended = Promise.withResolvers<string>()
  readonly text: string
  readonly input: readonly string[]
  constructor(text: string, input: readonly string[] = []) {
    this.text = text
    this.input = input
  }

  submit(connection: Connection): void {
    connection.query(this.text)
  }
  handleCopyInResponse(
    connection: Connection & Record<'sendCopyFromChunk' | 'endCopyFrom', (chunk?: Buffer) => void>,
  ): void {
    for (const line of this.input) connection.sendCopyFromChunk(Buffer.from(line))
    connection.endCopyFrom()
  }
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    this.rows.push(chunk)
  }
  handleCommandComplete({ text }: { readonly text: string }): void {
    this.ended.resolve(text)
  }
  handleError(error: Error): void {
    this.ended.reject(error)
  }
  handleReadyForQuery(): void {}
}

describe('node-postgres', () => {
  it('copies in and out', async () => {
    const client = new Client({ host: '127.0.0.1', port: port(), user: 'agent', database: 'orders', password })
    await client.connect()
    const copyIn = new Copy('COPY orders FROM STDIN CSV', ['120,1,', '9\n121,', '2,10\n'])
    client.query(copyIn)
    assert.equal(await copyIn.ended.promise, 'COPY 2')
    const copyOut = new Copy('COPY (SELECT id, total FROM orders WHERE id > 100 ORDER BY id) TO STDOUT')
    client.query(copyOut)
    assert.equal(await copyOut.ended.promise, 'COPY 2')
    assert.equal(Buffer.concat(copyOut.rows).toString(), '120\t9\n121\t10\n')
    const ended = once(client, 'end')
    await client.end()
    await ended
  })
})
