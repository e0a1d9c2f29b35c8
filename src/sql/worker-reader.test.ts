import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Fault } from '../gateway/fault.ts'
import { CLINIC } from './fixtures.ts'
import type { Catalog } from './catalog.ts'
import type { Reading } from './reader.ts'
import { startSqlReader } from './worker-reader.ts'

const reader = startSqlReader({ timeoutMs: 10_000 })
reader.learn('clinic', CLINIC)
after(() => reader[Symbol.asyncDispose]())

async function read(text: string, hidden: readonly string[] = ['pii'], by = reader): Promise<Reading> {
  return by.read({ text, target: 'clinic', searchPath: ['public'], hidden })
}

const DEEP = `SELECT 1${'+1'.repeat(400_000)}`

async function nodes(text: string, by = reader): Promise<readonly string[] | string> {
  const reading = await read(text, ['pii'], by)
  return 'statements' in reading ? reading.statements.map((each) => each.node) : reading.objection.code
}

describe('the SQL reader', () => {
  it('reads all statements of a text in order, and none of an empty one', async () => {
    assert.deepEqual(await nodes('SELECT 1;; /* */ DROP TABLE x;'), ['SelectStmt', 'DropStmt'])
    assert.deepEqual(await nodes(''), [])
    assert.deepEqual(await nodes(' ; -- nothing'), [])
  })

  it('answers a syntax error with the position in characters and its SQLSTATE', async () => {
    const reading = await read("SELECT 'é😀' FROM x WHERE WHERE")
    assert.ok('objection' in reading)
    assert.equal(reading.objection.code, 'unreadable')
    assert.equal(reading.objection.message, 'syntax error at or near "WHERE"')
    assert.equal(reading.objection.position, 26)
    assert.equal(reading.sqlstate, '42601')
  })

  it('refuses NUL and broken Unicode, and says sizes when a text is too large', async () => {
    assert.equal(await nodes('SELECT 1\0; DROP TABLE x'), 'unreadable')
    assert.equal(await nodes("SELECT '\ud800'"), 'unreadable')
    const reading = await read(`SELECT '${'é'.repeat(600_000)}'`)
    assert.ok('objection' in reading)
    assert.equal(reading.objection.code, 'too_large')
    assert.match(reading.objection.message, /1200009 bytes; at most 1048576/)
  })

  it('refuses a text that asks more than can be decided at once, and says how much', async () => {
    const relations = (count: number) => Array.from({ length: count }, (_, i) => `r${i}`).join()
    assert.deepEqual(await nodes(`SELECT 1 FROM ${relations(250)}`), ['SelectStmt'])
    for (const text of [`SELECT 1 FROM ${relations(300)}`, 'SELECT 1;'.repeat(10_001)]) {
      const reading = await read(text)
      assert.ok('objection' in reading)
      assert.equal(reading.objection.code, 'too_large')
      assert.match(reading.objection.message, /has (300|301|10001) .*; at most (256|10000) are decided at once/)
    }
    assert.equal((await nodes('SELECT 1;'.repeat(5_000))).length, 5_000)
  })

  it('takes a LOCK of as many tables as pg_dump names in one, and a flood of them not', async () => {
    const lock = (count: number) => `LOCK TABLE ${Array.from({ length: count }, (_, i) => `r${i}`).join()}`
    assert.deepEqual(await nodes(lock(9_000)), ['LockStmt'])
    for (const text of [lock(10_001), `${lock(9_000)}; SELECT 1 FROM ${lock(300).slice('LOCK TABLE '.length)}`]) {
      const reading = await read(text)
      assert.ok('objection' in reading && reading.objection.code === 'too_large')
    }
  })

  it('refuses what it cannot know the names of', async () => {
    const reading = await reader.read({ text: 'SELECT 1', target: 'elsewhere', hidden: [] })
    assert.ok('objection' in reading && reading.objection.code === 'unavailable')
  })

  it('refuses a text that kills the parser, and reads the others in the queue and after it', async () => {
    const all = await Promise.all(['SELECT 2', DEEP, 'SELECT 3', 'SELECT 4'].map((text) => nodes(text)))
    assert.deepEqual(all, [['SelectStmt'], 'unreadable', ['SelectStmt'], ['SelectStmt']])
    assert.deepEqual(await nodes('SELECT 5'), ['SelectStmt'])
  })

  it('lets no text suffer from another one, however many kill the parser', async () => {
    const all = await Promise.all([DEEP, `${DEEP}+2`, 'SELECT 6'].map((text) => nodes(text)))
    assert.deepEqual(all, ['unreadable', 'unreadable', ['SelectStmt']])
  })

  it('takes the texts of its callers in turns', async () => {
    const order: string[] = []
    const ask = async (caller: string, n: number) => {
      await reader.read({ text: `SELECT '${caller}', ${n}`, target: 'clinic', hidden: [], caller })
      order.push(`${caller}${n}`)
    }
    await Promise.all([ask('a', 1), ask('a', 2), ask('a', 3), ask('a', 4), ask('b', 1), ask('b', 2), ask('c', 1)])
    assert.deepEqual(order, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'])
  })

  it('reads deep nests and long chains within its time', async () => {
    assert.deepEqual(await nodes(`SELECT ${'(SELECT '.repeat(1000)}1${')'.repeat(1000)}`), ['SelectStmt'])
    assert.deepEqual(await nodes(`SELECT 1${'+1'.repeat(10_000)}`), ['SelectStmt'])
    const joins = Array.from({ length: 500 }, (_, i) => `JOIN visits v${i + 1} ON v${i}.id = v${i + 1}.id`)
    assert.deepEqual(await nodes(`SELECT 1 FROM visits v0 ${joins.join(' ')}`), ['SelectStmt'])
  })

  it('tells apart readings before and after a name has changed', async () => {
    const changed = [{ name: 'visits', now: 'moved' }] as const
    const request = { text: 'TABLE visits', target: 'clinic', searchPath: ['public'], hidden: [] }
    const objected = (reading: Reading) => 'statements' in reading && reading.statements[0]?.objection !== undefined
    assert.equal(objected(await reader.read(request)), false)
    assert.equal(objected(await reader.read({ ...request, changed })), true)
    assert.equal(objected(await reader.read(request)), false)
  })

  it('gives up on a text that takes too long, and works on', async () => {
    const hasty = startSqlReader({ timeoutMs: 1_000 })
    hasty.learn('clinic', CLINIC)
    const tables = Array.from({ length: 12_000 }, (_, i) => `visits v${i}`)
    assert.equal(await nodes(`SELECT ${tables.map(() => 'x').join()} FROM ${tables.join()}`, hasty), 'unreadable')
    assert.deepEqual(await nodes('SELECT 1', hasty), ['SelectStmt'])
    await hasty[Symbol.asyncDispose]()
  })

  it('forgets no catalog with its worker, and takes a newer one at once', async () => {
    const own = startSqlReader()
    own.learn('clinic', CLINIC)
    const isRefused = async () => {
      const reading = await read('SELECT lower(name) FROM patients', ['pii'], own)
      return 'statements' in reading && reading.statements[0]?.objection !== undefined
    }
    assert.equal(await isRefused(), true)
    await nodes(DEEP, own)
    assert.equal(await isRefused(), true)
    own.learn('clinic', { ...CLINIC, version: '2', functions: [] })
    assert.equal(await isRefused(), false)
    await own[Symbol.asyncDispose]()
  })

  it('keeps readings when the catalog has changed only where others see it', async () => {
    const own = startSqlReader()
    const temporary = { pg_temp_3: 'a', pg_temp_4: 'a' }
    const catalog = { ...CLINIC, shared: 's', temporary }
    const ask = (text: string) =>
      own.read({ text, target: 'clinic', searchPath: ['public'], hidden: [], temporary: ['pg_temp_3'] })
    const texts = ['SELECT id FROM visits', 'DROP TABLE visits CASCADE', 'SELECT * FROM pg_temp_4.x', 'BEGIN']
    const known = () => texts.filter((text) => !(ask(text) instanceof Promise))
    const learn = async (changes: Partial<Catalog>) => {
      own.learn('clinic', { ...catalog, ...changes })
      const kept = known()
      await Promise.all(texts.map(async (text) => ask(text)))
      assert.deepEqual(known(), texts)
      return kept
    }
    await learn({})
    assert.deepEqual(await learn({ version: '2', temporary: { ...temporary, pg_temp_4: 'b' } }), [texts[0]])
    assert.deepEqual(await learn({ version: '3', temporary: { ...temporary, pg_temp_3: 'b' } }), [])
    assert.deepEqual(await learn({ version: '4', shared: 't' }), [])
    assert.deepEqual(await learn({ version: '4', shared: 't' }), texts)
    await own[Symbol.asyncDispose]()
  })

  it('tells apart readings for different eyes', async () => {
    const text = 'SELECT lower(name) || mail FROM patients'
    const objection = async (hidden: readonly string[]) => {
      const reading = await read(text, hidden)
      return 'statements' in reading ? reading.statements[0]?.objection?.code : 'none'
    }
    assert.equal(await objection(['pii']), 'denied')
    assert.equal(await objection([]), undefined)
    assert.equal(await objection(['pii']), 'denied')
  })

  it('rejects what waits when it is closed', async () => {
    const closed = startSqlReader()
    closed.learn('clinic', CLINIC)
    const waiting = read('SELECT 1', [], closed)
    const isClosed = (error: unknown) => error instanceof Fault && error.code === 'parser'
    const rejected = assert.rejects(waiting, isClosed)
    await closed[Symbol.asyncDispose]()
    await rejected
    await assert.rejects(read('SELECT 1', [], closed), isClosed)
  })
})

const WORDS =
  `SELECT INSERT UPDATE DELETE MERGE INTO FROM WHERE WITH AS ( ) ( ) , , * . ; patients visits mail id x 1 'a' = AND OR NOT
  ORDER BY GROUP VALUES SET RETURNING UNION JOIN ON LATERAL LIMIT CREATE TABLE DROP ALTER EXPLAIN ANALYZE PREPARE EXECUTE count(*) $1 ::text`.split(
    /\s+/,
  )
const words = fc.array(fc.constantFrom(...WORDS), { maxLength: 14 }).map((list) => list.join(' '))

describe('any text at all', () => {
  it('is read or refused, and every statement that is read touches something or uses a name', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      words,
      words.map((each) => `SELECT ${each}`),
    )
    await fc.assert(
      fc.asyncProperty(text, async (each) => {
        const reading = await read(each)
        if ('objection' in reading) return reading.objection.message !== ''
        return reading.statements.every((statement) => statement.touches.length > 0 || statement.uses !== undefined)
      }),
      { numRuns: 400 },
    )
  })

  it('keeps its touches however deep it is nested', async () => {
    const wraps = [
      '(SELECT max(id) FROM (SELECT * FROM (%) a) b)',
      '(WITH c AS (SELECT (%) AS id) SELECT id FROM c)',
      'coalesce((%), 1)',
      '(CASE WHEN (%) = 1 THEN 1 END)',
    ]
    const nesting = fc.array(fc.constantFrom(...wraps), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(nesting, async (list) => {
        const inner = list.reduce(
          (text, wrap) => wrap.replace('%', () => (wrap.includes('FROM (%)') ? `SELECT ${text} AS id` : text)),
          '(SELECT id FROM visits)',
        )
        const reading = await read(`SELECT ${inner}`)
        assert.ok('statements' in reading)
        assert.ok(reading.statements[0]!.touches.some((each) => each.resource.id === 'clinic/public.visits'))
      }),
      { numRuns: 60 },
    )
  })
})
