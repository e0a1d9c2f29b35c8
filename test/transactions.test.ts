import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { StoredEntry } from '../src/record/entry.ts'
import { execute, flush, query, run, sync } from './client-messages.ts'
import { brief, rawConnect, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'

let scene: Scene
let password: string
let made = 1_000

before(async () => {
  scene = await startScene()
  password = await scene.token()
})
after(() => scene[Symbol.asyncDispose]())

const connect = (): Promise<RawClient> => rawConnect({ port: scene.gateway.postgres.port, password })

/** Denied by policy when it is prepared. */
const DROP = 'DROP TABLE orders'
/** Held: may be prepared, but not run inside a transaction or a pipeline. */
const UPDATE = "UPDATE customers SET name = 'Eve' WHERE id = 1"

const insert = (id: number): string => `INSERT INTO orders VALUES (${id}, 1, 1)`

async function arrived(ids: readonly number[]): Promise<readonly number[]> {
  const rows = await scene.truth(`SELECT id FROM orders WHERE id = ANY ('{${ids.join(',')}}') ORDER BY id`)
  return rows.map(({ id }) => Number(id) - ids[0]!)
}

type Decided = Extract<StoredEntry, { type: 'operation' }>

async function trail(since: number): Promise<readonly string[]> {
  const records = (await scene.records()).filter(({ seq }) => seq > since)
  const operations = records.filter((entry): entry is Decided => entry.type === 'operation')
  return operations.map(({ decision, stage, text }) => `${decision} ${stage} ${text}`)
}

const lastSeq = async (): Promise<number> => (await scene.records()).at(-1)!.seq

type Status = 'I' | 'T' | 'E'

/** Brings the session into a transaction status, with a row of its own already inserted. */
async function enter(client: RawClient, status: Status, own: number): Promise<void> {
  if (status === 'I') return
  client.send(query('BEGIN'), query(insert(own)))
  await client.ready(2)
  if (status === 'T') return
  client.send(query('SELECT id / 0 FROM orders'))
  await client.ready()
}

type Case = {
  readonly name: string
  /** Two ids that the pipeline may insert. */
  readonly sent: (one: number, two: number) => readonly Buffer[]
  /** ReadyForQuery to come. */
  readonly readies?: number
  readonly answers: Readonly<Record<Status, readonly string[]>>
  /** Which rows are there afterwards, outside a transaction: 1 and 2 are the pipeline's. */
  readonly stays?: readonly number[]
}

const INSERTED = ['1', '2', 'C INSERT 0 1']
const REFUSED = 'E 42501'
const ABORTED = 'E 25P02'

const CASES: readonly Case[] = [
  {
    name: 'a simple Query',
    sent: () => [query(DROP)],
    answers: { I: [REFUSED, 'Z I'], T: [REFUSED, 'Z E'], E: [REFUSED, 'Z E'] },
  },
  {
    name: 'a simple Query of several statements, the last of them refused',
    sent: (one) => [query(`${insert(one)}; ${DROP}`)],
    answers: { I: [REFUSED, 'Z I'], T: [REFUSED, 'Z E'], E: [REFUSED, 'Z E'] },
  },
  {
    name: 'the first of a pipeline',
    sent: (one) => [run(DROP), run(insert(one)), sync],
    answers: { I: [REFUSED, 'Z I'], T: [REFUSED, 'Z E'], E: [REFUSED, 'Z E'] },
  },
  {
    name: 'the middle of a pipeline',
    sent: (one, two) => [run(insert(one)), run(DROP), run(insert(two)), sync],
    answers: { I: [...INSERTED, REFUSED, 'Z I'], T: [...INSERTED, REFUSED, 'Z E'], E: [ABORTED, 'Z E'] },
  },
  {
    name: 'the last of a pipeline',
    sent: (one, two) => [run(insert(one)), run(insert(two)), run(DROP), sync],
    answers: {
      I: [...INSERTED, ...INSERTED, REFUSED, 'Z I'],
      T: [...INSERTED, ...INSERTED, REFUSED, 'Z E'],
      E: [ABORTED, 'Z E'],
    },
  },
  {
    name: 'two of a pipeline',
    sent: (one, two) => [run(insert(one)), run(DROP), run('DROP TABLE customers'), run(insert(two)), sync],
    answers: { I: [...INSERTED, REFUSED, 'Z I'], T: [...INSERTED, REFUSED, 'Z E'], E: [ABORTED, 'Z E'] },
  },
  {
    name: 'an Execute of what may be prepared but has to be approved',
    sent: (one, two) => [run(insert(one)), run(UPDATE), run(insert(two)), sync],
    answers: {
      I: [...INSERTED, '1', 'E SP001', 'Z I'],
      T: [...INSERTED, '1', 'E SP001', 'Z E'],
      E: [ABORTED, 'Z E'],
    },
  },
  {
    name: 'an Execute of a portal that there is not',
    sent: (one, two) => [run(insert(one)), execute('nowhere'), run(insert(two)), sync],
    answers: { I: [...INSERTED, 'E SP007', 'Z I'], T: [...INSERTED, 'E SP007', 'Z E'], E: [ABORTED, 'Z E'] },
  },
  {
    name: 'the second of three batches sent in one write',
    sent: (one, two) => [run(insert(one)), sync, run(DROP), run(insert(two)), sync, run('SELECT 7'), sync],
    readies: 3,
    answers: {
      I: [...INSERTED, 'Z I', REFUSED, 'Z I', '1', '2', 'D 7', 'C SELECT 1', 'Z I'],
      T: [...INSERTED, 'Z T', REFUSED, 'Z E', ABORTED, 'Z E'],
      E: [ABORTED, 'Z E', REFUSED, 'Z E', ABORTED, 'Z E'],
    },
    stays: [1],
  },
  {
    name: 'simple Queries behind one another in one write',
    sent: (one, two) => [query(insert(one)), query(DROP), query(insert(two))],
    readies: 3,
    answers: {
      I: ['C INSERT 0 1', 'Z I', REFUSED, 'Z I', 'C INSERT 0 1', 'Z I'],
      T: ['C INSERT 0 1', 'Z T', REFUSED, 'Z E', ABORTED, 'Z E'],
      E: [ABORTED, 'Z E', REFUSED, 'Z E', ABORTED, 'Z E'],
    },
    stays: [1, 2],
  },
  {
    name: 'a Query behind which a transaction begins in the same write',
    sent: () => [query(DROP), query('BEGIN'), query('ROLLBACK')],
    readies: 3,
    answers: {
      I: [REFUSED, 'Z I', 'C BEGIN', 'Z T', 'C ROLLBACK', 'Z I'],
      T: [REFUSED, 'Z E', ABORTED, 'Z E', 'C ROLLBACK', 'Z I'],
      E: [REFUSED, 'Z E', ABORTED, 'Z E', 'C ROLLBACK', 'Z I'],
    },
  },
]

for (const status of ['I', 'T', 'E'] as const) {
  describe(`a refusal in transaction status ${status}`, () => {
    for (const { name, sent, readies = 1, answers, stays = [] } of CASES) {
      it(`leaves client and target agreed on what was rolled back: ${name}`, async () => {
        const own = (made += 10)
        await using client = await connect()
        await enter(client, status, own)
        client.send(...sent(own + 1, own + 2))
        assert.deepEqual(brief(await client.ready(readies)), answers[status])

        client.send(query('COMMIT'))
        const committed = brief(await client.ready()).filter((line) => !line.startsWith('N '))
        assert.deepEqual(committed.at(-1), 'Z I')
        assert.deepEqual(await arrived([own, own + 1, own + 2]), status === 'I' ? stays : [])

        client.send(run('SELECT 1'), sync)
        assert.deepEqual(brief(await client.ready()), ['1', '2', 'D 1', 'C SELECT 1', 'Z I'])
      })
    }
  })
}

describe('a refusal in a pipeline', () => {
  it('comes at once when the client flushes instead of syncing, and everything up to its Sync is dropped', async () => {
    const own = (made += 10)
    await using client = await connect()
    client.send(run(insert(own)), run(DROP), flush)
    assert.deepEqual(brief(await client.until('E')), [...INSERTED, REFUSED])
    client.send(run(insert(own + 1)), query(insert(own + 2)), flush)
    client.send(sync)
    assert.deepEqual(brief(await client.ready()), ['Z I'])
    assert.deepEqual(await arrived([own, own + 1, own + 2]), [])
  })

  it('is not told where an error of the target came first', async () => {
    await using client = await connect()
    client.send(run('SELECT id / 0 FROM orders'), flush)
    await client.until('E')
    client.send(run(DROP), run(insert(1)), sync)
    assert.deepEqual(brief(await client.ready()), ['Z I'])
  })

  it('is recorded as denied and never sent, in the order in which it was asked', async () => {
    const since = await lastSeq()
    const own = (made += 10)
    await using client = await connect()
    client.send(run(insert(own)), run(DROP), sync)
    await client.ready()
    assert.deepEqual(await trail(since), [
      `allow prepare ${insert(own)}`,
      `allow execute ${insert(own)}`,
      `deny prepare ${DROP}`,
    ])
  })
})

describe('a statement that has to be approved', () => {
  it('is refused at once inside a transaction, with a ticket, and the transaction has failed', async () => {
    const own = (made += 10)
    await using client = await connect()
    client.send(query('BEGIN'), query(insert(own)))
    await client.ready(2)
    client.send(query(UPDATE))
    const answer = await client.ready()
    assert.deepEqual(brief(answer), ['E SP001', 'Z E'])
    assert.match(answer[0]!.body.toString(), /apr_/)
    client.send(query('COMMIT'))
    assert.deepEqual(brief(await client.ready()), ['C ROLLBACK', 'Z I'])
    assert.deepEqual(await arrived([own]), [])
  })

  it('is refused at once behind operations without a Sync, which then have not happened', async () => {
    const own = (made += 10)
    await using client = await connect()
    client.send(run(insert(own)), run(UPDATE), sync)
    assert.deepEqual(brief(await client.ready()), [...INSERTED, '1', 'E SP001', 'Z I'])
    assert.deepEqual(await arrived([own]), [])
    assert.deepEqual(await scene.truth('SELECT name FROM customers WHERE id = 1'), [{ name: 'Ada' }])
  })
})

describe('a batch', () => {
  it('may hold more operations than are kept in flight: PostgreSQL is asked for their answers on the way', async () => {
    const first = (made += 1_000)
    await using client = await connect()
    const inserts = Array.from({ length: 400 }, (_, place) => run(insert(first + place)))
    client.send(query('BEGIN'), ...inserts, sync, query('ROLLBACK'))
    const answer = brief(await client.ready(3))
    assert.equal(answer.filter((line) => line === 'C INSERT 0 1').length, 400)
    assert.deepEqual(answer.slice(-2), ['C ROLLBACK', 'Z I'])
    made += 1_000
  })
})
