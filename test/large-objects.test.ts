import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { functionCall, parse, query, sync } from './client-messages.ts'
import { runPsql, WITHOUT_PSQL } from './clients/psql.ts'
import { frame, u16, u32, val } from './frames-builder.ts'
import { brief, fields, rawConnect, show, type Message, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

/** OIDs in pg_proc.dat, the same in every PostgreSQL. */
const LO = {
  creat: 957,
  create: 715,
  open: 952,
  close: 953,
  read: 954,
  write: 955,
  lseek: 956,
  lseek64: 3170,
  tell: 958,
  tell64: 3171,
  truncate: 1004,
  truncate64: 3172,
  unlink: 964,
  import: 764,
  get: 3458,
}
const SET_CONFIG = 2078
const [INV_WRITE, INV_READ] = [0x20000, 0x40000]
const hex = (text: string): string => Buffer.from(text).toString('hex')
const int8 = (value: number): Buffer => Buffer.concat([u32(0), u32(value)])

const RULES = `
@id("keep-files")
permit (principal in Group::"data-agents", action == Action::"sql.lo_write", resource == Target::"orders");
@id("not-that-one")
forbid (principal, action in [Action::"sql.lo_read", Action::"sql.lo_write"], resource == Target::"orders")
when { context.args.hasTag("/oid") && context.args.getTag("/oid") == "4711" };
@id("unlink-needs-a-dba") @hold("group:dba") @wait("4s") @ticket("60s")
permit (principal in Group::"data-agents", action == Action::"sql.lo_write", resource == Target::"orders")
when { context.args.hasTag("/function") && context.args.getTag("/function") == "lo_unlink" };
@id("comments")
permit (principal in Group::"data-agents", action == Action::"sql.comment", resource in Target::"orders");`

async function connect(scene: Scene): Promise<RawClient> {
  return rawConnect({ port: scene.gateway.postgres.port, password: await scene.token() })
}

/** Sends these and gives the answers up to as many ReadyForQuery. */
async function ask(client: RawClient, ...messages: readonly Buffer[]): Promise<readonly string[]> {
  client.send(...messages)
  return show(await client.ready(messages.length))
}

/** Of one call: what it gave, as hex. */
async function call(client: RawClient, routine: number, ...args: readonly (number | Buffer)[]): Promise<string> {
  const [result = '', ready = ''] = await ask(client, functionCall(routine, ...args))
  assert.match(ready, /^Z /, result)
  assert.match(result, /^V /)
  return result.slice(2)
}

/** A new large object with this in it; its OID. */
async function make(client: RawClient, content: string): Promise<number> {
  await ask(client, query('BEGIN'))
  const oid = Number.parseInt(await call(client, LO.creat, INV_WRITE | INV_READ), 16)
  const descriptor = Number.parseInt(await call(client, LO.open, oid, INV_WRITE), 16)
  await call(client, LO.write, descriptor, Buffer.from(content))
  await call(client, LO.close, descriptor)
  await ask(client, query('COMMIT'))
  return oid
}

const lastError = (messages: readonly Message[]): ReadonlyMap<string, string> =>
  fields(messages.findLast(({ type }) => type === 'E')!.body)

describe('large objects, where nothing is hidden', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene({ rules: RULES, target: { sensitive: {}, detect: ['email'] } })
  })
  after(() => scene?.[Symbol.asyncDispose]())

  it('are made, written, read, moved in, cut and closed by FunctionCall', async () => {
    await using client = await connect(scene)
    const oid = await make(client, 'to be or not')
    await ask(client, query('BEGIN'))
    const descriptor = Number.parseInt(await call(client, LO.open, oid, INV_READ | INV_WRITE), 16)
    assert.equal(await call(client, LO.read, descriptor, 5), hex('to be'))
    assert.equal(await call(client, LO.tell, descriptor), '00000005')
    assert.equal(await call(client, LO.lseek, descriptor, 0, 2), '0000000c')
    assert.equal(await call(client, LO.lseek64, descriptor, int8(3), 0), '0000000000000003')
    assert.equal(await call(client, LO.tell64, descriptor), '0000000000000003')
    assert.equal(await call(client, LO.truncate, descriptor, 9), '00000000')
    assert.equal(await call(client, LO.truncate64, descriptor, int8(5)), '00000000')
    assert.equal(await call(client, LO.read, descriptor, 100), hex('be'))
    assert.equal(await call(client, LO.close, descriptor), '00000000')
    assert.deepEqual(await ask(client, query('COMMIT')), ['C COMMIT', 'Z I'])
  })

  it('are recorded with what was called, on which object, with which arguments, and what came of it', async () => {
    await using client = await connect(scene)
    const oid = await make(client, 'kept')
    await ask(client, query('BEGIN'))
    await call(client, LO.open, oid, INV_READ)
    await call(client, LO.read, 0, 4)
    const records = await scene.records()
    const operations = records.flatMap((each) => (each.type === 'operation' ? [each] : [])).slice(-8)
    const object = `large object ${oid}`
    assert.deepEqual(
      operations.map(({ text, parameters }) => [text, parameters]),
      [
        ['FunctionCall lo_creat($1)', [String(INV_READ | INV_WRITE)]],
        ['FunctionCall lo_open($1, $2)', [String(oid), String(INV_WRITE)]],
        [`FunctionCall lowrite($1, $2) on ${object}`, ['0', `\\x${hex('kept')}`]],
        [`FunctionCall lo_close($1) on ${object}`, ['0']],
        ['COMMIT', undefined],
        ['BEGIN', undefined],
        ['FunctionCall lo_open($1, $2)', [String(oid), String(INV_READ)]],
        [`FunctionCall loread($1, $2) on ${object}`, ['0', '4']],
      ],
    )
    const last = operations.at(-1)!
    assert.deepEqual(last.touches, ['sql.lo_read on Target orders'])
    const answers = records.filter((each) => each.type === 'answer' && each.operation === last.operation)
    assert.deepEqual(
      answers.map((each) => each.type === 'answer' && each.outcome?.status),
      ['done'],
    )
  })

  it('are as many touches as the mode of lo_open says', async () => {
    await using client = await connect(scene)
    const oid = await make(client, '')
    await ask(client, query('BEGIN'))
    for (const mode of [INV_READ, INV_WRITE, INV_READ | INV_WRITE]) await call(client, LO.open, oid, mode)
    const opened = (await scene.records()).flatMap((each) =>
      each.type === 'operation' && each.text.includes('lo_open')
        ? [each.touches.map((touch) => touch.split(' ')[0])]
        : [],
    )
    const both = ['sql.lo_read', 'sql.lo_write']
    assert.deepEqual(opened.slice(-3), [['sql.lo_read'], both, both])
  })

  it('that a rule names by their OID are out of reach, by FunctionCall and by SQL', async () => {
    await scene.truth('SELECT lo_create(4711)')
    await using client = await connect(scene)
    // The same text but for the number was read before.
    assert.match(String(await ask(client, query('SELECT lo_get(4712)'))), /E 42704/)
    const texts = ['SELECT lo_open(4711, 262144)', 'SELECT lo_get(4711)', "SELECT lo_put(4711, 0, '\\x00')"]
    for (const message of [functionCall(LO.open, 4711, INV_READ), functionCall(LO.unlink, 4711), ...texts.map(query)]) {
      const [refused] = await ask(client, message)
      assert.match(refused!, /^E 42501 .*rule not-that-one/)
    }
  })

  it('have no known name any more once something else may have opened another under it', async () => {
    await using client = await connect(scene)
    const [one, other] = [await make(client, 'one'), await make(client, 'two')]
    await ask(client, query('BEGIN'))
    await call(client, LO.open, one, INV_READ)
    await ask(client, query(`SELECT lo_close(0), lo_open(${other}, 262144)`))
    assert.equal(await call(client, LO.read, 0, 3), hex('two'))
    const text = (await scene.records()).flatMap((each) => (each.type === 'operation' ? [each.text] : [])).at(-1)
    assert.equal(text, 'FunctionCall loread($1, $2) on a large object that is not known')
  })

  it("belong to the lease's owner once the session is over", async () => {
    const client = await connect(scene)
    const oid = await make(client, 'left behind')
    await client[Symbol.asyncDispose]()
    await within('the session has left no role', async () => (await scene.roles()).length === 0, 8_000)
    const [row] = await scene.truth(
      `SELECT lomowner::regrole::text AS owner, lo_get(oid) AS content FROM pg_largeobject_metadata WHERE oid = ${oid}`,
    )
    assert.deepEqual(row, { owner: 'orders_owner', content: Buffer.from('left behind') })
  })

  it('wait for a human like any operation, and are refused with a ticket in a transaction', async () => {
    await using client = await connect(scene)
    const oid = await make(client, 'gone')
    client.send(functionCall(LO.unlink, oid))
    const [notice] = show(await client.until('N'))
    const id = /apr_[\w-]+/.exec(notice!)![0]
    const dba = await scene.token({ kind: 'User', name: 'dana', groups: ['dba'] })
    const vote = await scene.api(dba, `/api/v1/approvals/${id}/approve`, {})
    assert.equal(vote.status, 200, JSON.stringify(vote.body))
    assert.deepEqual(show(await client.ready()).slice(-2), ['V 00000001', 'Z I'])

    await ask(client, query('BEGIN'))
    const [refused, ready] = await ask(client, functionCall(LO.unlink, oid))
    assert.match(refused!, /^E SP001/)
    assert.equal(ready, 'Z E')
  })

  it('show no value that a detector finds, and no more bytes than were asked for', async () => {
    await using client = await connect(scene)
    const oid = await make(client, 'mail eve@example.com now')
    await ask(client, query('BEGIN'))
    await call(client, LO.open, oid, INV_READ)
    const shown = Buffer.from(await call(client, LO.read, 0, 24), 'hex').toString()
    assert.equal(shown.length, 24)
    assert.match(shown, /^mail \*\*\* now\**$/)
  })

  it("fail in the target's own words, and the session goes on", async () => {
    await using client = await connect(scene)
    assert.match(String(await ask(client, functionCall(LO.open, 1, INV_READ))), /^E 42704 .*,Z I$/)
    await ask(client, query('BEGIN'), query('SELECT 1 / 0'))
    assert.match(String(await ask(client, functionCall(LO.creat, -1))), /^E 25P02 .*,Z E$/)
    assert.deepEqual(await ask(client, query('ROLLBACK')), ['C ROLLBACK', 'Z I'])
  })

  it('are read and written by the functions of SQL under the same names', async () => {
    await using client = await connect(scene)
    const [, row] = await ask(client, query("SELECT lo_from_bytea(0, '\\x6162')"))
    const oid = row!.slice(2)
    await ask(client, query(`SELECT lo_put(${oid}, 2, '\\x63')`))
    assert.equal((await ask(client, query(`SELECT lo_get(${oid})`)))[1], 'D \\x616263')
    const touches = (await scene.records()).flatMap((each) => (each.type === 'operation' ? each.touches : []))
    const [select, read, write] = ['sql.select', 'sql.lo_read', 'sql.lo_write'].map(
      (does) => `${does} on Target orders`,
    )
    assert.deepEqual(touches.slice(-6), [write, select, write, select, read, select])
  })

  it('that are not named one by one are unbounded writes, and files of the server are refused', async () => {
    await using client = await connect(scene)
    for (const object of [
      'oid',
      '4711 + 0',
      "'04711'",
      '-1',
      "' 4711'",
      '(SELECT max(oid) FROM pg_largeobject_metadata)',
    ]) {
      const answer = await ask(client, query(`SELECT lo_unlink(${object}) FROM pg_largeobject_metadata`))
      assert.match(String(answer), /^E 42501 .*no-unbounded-writes/, object)
    }
    for (const text of ["SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')"])
      assert.match(String(await ask(client, query(text))), /^E 42501 .*uses a file of the server/)
  })

  const refused: Readonly<Record<string, Buffer>> = {
    'of set_config': functionCall(SET_CONFIG, Buffer.from('role'), Buffer.from('postgres'), 0),
    'of no function': functionCall(999_999_999),
    'of lo_import': functionCall(LO.import, Buffer.from('/etc/passwd')),
    'of a function of large objects that only SQL calls': functionCall(LO.get, 1),
    'with too few arguments': functionCall(LO.open, 1),
    'with too many arguments': functionCall(LO.unlink, 1, 2),
    'with an argument of another size': functionCall(LO.unlink, Buffer.alloc(8)),
    'with NULL for an argument': functionCall(LO.unlink, null),
    'with a number in words': frame('F', u32(LO.unlink), u16(0), u16(1), val(' 1'), u16(0)),
  }
  for (const [what, message] of Object.entries(refused)) {
    it(`are not reached by a FunctionCall ${what}: it is refused, and the session goes on`, async () => {
      await using client = await connect(scene)
      const answers = brief(await (client.send(message, query('BEGIN'), message, query('ROLLBACK')), client.ready(4)))
      assert.deepEqual(answers, ['E SP007', 'Z I', 'C BEGIN', 'Z T', 'E SP007', 'Z E', 'C ROLLBACK', 'Z I'])
    })
  }

  it('are not reached from inside a batch of the extended protocol: the session ends', async () => {
    await using client = await connect(scene)
    client.send(parse('SELECT 1'), functionCall(LO.creat, -1), sync)
    assert.equal(brief(await client.closed()).at(-1), 'E SP007')
  })
})

describe('large objects, where columns are hidden', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene({ rules: RULES })
  })
  after(() => scene?.[Symbol.asyncDispose]())

  it('are written but not read, because what is in them came from anywhere', async () => {
    await using client = await connect(scene)
    const oid = await make(client, 'mine')
    const reads = [`SELECT lo_get(${oid})`, 'SELECT loread(0, 4)', 'SELECT lo_lseek(0, 0, 2)'].map(query)
    for (const message of [functionCall(LO.read, 0, 4), functionCall(LO.lseek, 0, 0, 2), ...reads]) {
      client.send(query('BEGIN'), functionCall(LO.open, oid, INV_READ), message, query('ROLLBACK'))
      const answers = await client.ready(4)
      assert.deepEqual(brief(answers).slice(3), ['Z T', 'E 42501', 'Z E', 'C ROLLBACK', 'Z I'])
      assert.match(lastError(answers).get('M')!, /may show values that are masked for you/)
    }
  })

  it('take no hidden value', async () => {
    await using client = await connect(scene)
    const [refusal] = await ask(client, query('SELECT lo_from_bytea(0, email::bytea) FROM customers'))
    assert.match(refusal!, /^E 42501/)
  })
})

describe('large objects, where the lease names no owner', () => {
  it('are not made, because they would go with the session', async () => {
    await using scene = await startScene({ rules: RULES, target: { lease: { password: 'file:./admin-url' } } })
    await using client = await connect(scene)
    assert.match(String(await ask(client, functionCall(LO.creat, -1))), /^V /)
    await using other = await startScene({
      rules: RULES,
      target: { lease: { 'postgres-role': { admin: 'file:./admin-url', member_of: ['orders_writer'] } } },
    })
    await using second = await connect(other)
    for (const message of [functionCall(LO.creat, -1), functionCall(LO.create, 0), query('SELECT lo_create(0)')])
      assert.match(String(await ask(second, message)), /^E 42501 lo_creat.* is refused: .* names nobody to own/)
  })
})

describe('psql and large objects', { skip: WITHOUT_PSQL }, () => {
  for (const libpq18 of [false, true]) {
    it(`imports, lists, exports and unlinks them (${libpq18 ? 'libpq 18' : "the machine's libpq"})`, async () => {
      const rules = RULES.replaceAll(/@hold.*$/gm, '')
      await using scene = await startScene({ rules, target: { sensitive: {}, detect: [] } })
      const directory = await mkdtemp(join(tmpdir(), 'sallyport-lo-'))
      try {
        const [from, to] = [join(directory, 'from'), join(directory, 'to')]
        const content = Buffer.from(Array.from({ length: 40_000 }, (_, place) => (place * 7) % 256))
        await writeFile(from, content)
        const { output } = await runPsql(
          { port: scene.gateway.postgres.port, password: await scene.token(), libpq18, arguments: ['-At'] },
          `\\lo_import ${from} 'a file'`,
          '\\lo_list',
          `\\lo_export :LASTOID ${to}`,
          '\\lo_unlink :LASTOID',
        )
        assert.match(output, /^lo_import (\d+)\n\1\|sp_\w+\|a file\nlo_export\nlo_unlink \1\n$/)
        assert.deepEqual(await readFile(to), content)
      } finally {
        await rm(directory, { recursive: true })
      }
    })
  }
})
