import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once, type EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { StoredEntry } from '../src/record/entry.ts'
import { startScene, type Scene } from './scene.ts'
import { within, SLEEPERS } from './waiting.ts'

const BRIEF = `
@id("brief") @lease("2s")
permit (principal in Group::"brief", action == Action::"connect", resource == Target::"orders");`

/** What a session is doing when it ends. */
const BUSY: Readonly<Record<string, readonly string[]>> = {
  'nothing at all': ['SELECT 1'],
  'pg_sleep(60)': ['SELECT pg_sleep(60)'],
  'a transaction': ['BEGIN', 'INSERT INTO orders VALUES (900, 1, 1)'],
  'pg_sleep(60) in a transaction': ['BEGIN', 'INSERT INTO orders VALUES (900, 1, 1)', 'SELECT pg_sleep(60)'],
}

/** How a client leaves. */
const LEAVES: Readonly<Record<string, (client: Client) => void>> = {
  'says good-bye': (client) => void client.end().catch(() => undefined),
  'loses its socket': (client) => void connectionOf(client).stream.destroy(),
  'resets its socket': (client) => void connectionOf(client).stream.resetAndDestroy(),
}

describe('the role of a session', () => {
  let scene: Scene
  let token: string
  before(async () => {
    scene = await startScene({ rules: SLEEPERS + BRIEF })
    token = await scene.token({ groups: ['data-agents', 'sleepers'], person: 'ada@example.com' })
  })
  after(() => scene[Symbol.asyncDispose]())

  const clients: Client[] = []
  const connect = async (as = token): Promise<Client> => {
    const client = await scene.connect(as)
    clients.push(client)
    return client
  }
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end()
    await within('the roles are gone', isGone)
  })

  /** The session's client, doing what it is told: the last statement is not waited for when it sleeps. */
  const busy = async (statements: readonly string[], as = token): Promise<Client> => {
    const client = await connect(as)
    for (const statement of statements) {
      const answer = client.query(statement)
      answer.catch(() => undefined)
      if (!statement.includes('pg_sleep')) await answer
      else await within('the statement runs', async () => (await backends('active')).length === 1)
    }
    return client
  }
  const backends = (state: string): ReturnType<Scene['truth']> =>
    scene.truth(`SELECT query FROM pg_stat_activity WHERE usename LIKE 'sp\\_%' AND state = '${state}'`)
  const isGone = async (): Promise<boolean> => (await scene.roles()).length === 0

  it('is not there before the session, and is there during it', async () => {
    assert.deepEqual(await scene.roles(), [])
    const client = await connect()
    assert.equal((await scene.roles()).length, 1)
    await client.end()
    await within('the role is gone', isGone)
  })

  it('says whose it is and for how long, and can do nothing by itself', async () => {
    const client = await connect()
    const [role] = await scene.truth(`
      SELECT r.*, shobj_description(r.oid, 'pg_authid') AS comment,
        ARRAY(SELECT roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid) AS groups,
        rolvaliduntil AS until
      FROM pg_roles r WHERE r.rolname LIKE 'sp\\_%'`)
    const opened = (await scene.records()).findLast((record) => record.type === 'session.opened')
    assert.ok(role && opened)
    const { rolname, rolconnlimit, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls } = role
    assert.deepEqual([rolname, (role.until as Date).toISOString()], [opened.lease, opened.expires_at])
    assert.equal(rolconnlimit, 2)
    assert.deepEqual([rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls], Array(5).fill(false))
    assert.deepEqual(role.groups, ['orders_writer'])
    for (const part of ['report-bot', 'ada@example.com', opened.session, scene.gateway.installation]) {
      assert.ok(String(role.comment).includes(part), `${part} in ${String(role.comment)}`)
    }
    await client.end()
    await within('the role is gone', isGone)
  })

  for (const [leaving, leave] of Object.entries(LEAVES)) {
    for (const [doing, statements] of Object.entries(BUSY)) {
      it(`is gone when the client ${leaving} during ${doing}`, async () => {
        const client = await busy(statements)
        const { length: known } = await scene.records()
        leave(client)
        await within('the role is gone', isGone)
        assert.deepEqual(await scene.truth(`SELECT FROM pg_stat_activity WHERE usename LIKE 'sp\\_%'`), [])
        assert.deepEqual(await scene.truth('SELECT FROM orders WHERE id = 900'), [])
        await assertEnded(scene, known)
      })
    }
  }

  it('is gone when psql is killed during pg_sleep(60) in a transaction', async () => {
    const { port } = scene.gateway.postgres
    const url = `postgresql://agent@127.0.0.1:${port}/orders?sslmode=require`
    const psql = spawn(
      'psql',
      [url, '-X', '-c', `BEGIN`, '-c', BUSY['a transaction']![1]!, '-c', 'SELECT pg_sleep(60)'],
      {
        env: { PATH: process.env.PATH, PGPASSWORD: token },
        stdio: 'ignore',
      },
    )
    await within('the statement runs', async () => (await backends('active')).length === 1)
    assert.equal((await scene.roles()).length, 1)
    const { length: known } = await scene.records()
    psql.kill('SIGKILL')
    await once(psql, 'close')
    await within('the role is gone', isGone)
    assert.deepEqual(await scene.truth('SELECT FROM orders WHERE id = 900'), [])
    await assertEnded(scene, known)
  })

  it('is gone when the grant ends, whatever the sessions are doing, and each client is told', async () => {
    const brief = await scene.token({ groups: ['data-agents', 'sleepers', 'brief'] })
    const told: Promise<unknown[]>[] = []
    for (const statements of [BUSY['nothing at all']!, BUSY['a transaction']!, ['SELECT pg_sleep(60)']]) {
      told.push(once(connectionOf(await busy(statements, brief)), 'errorMessage'))
    }
    const { length: known } = await scene.records()
    for (const [error] of await Promise.all(told)) {
      const { severity, code, message } = error as Record<string, string>
      assert.deepEqual([severity, code, message], ['FATAL', '28000', 'The grant of this session has ended.'])
    }
    await within('the roles are gone', isGone)
    assert.deepEqual(await scene.truth('SELECT FROM orders WHERE id = 900'), [])
    const closed = await assertEnded(scene, known, 3)
    assert.deepEqual(new Set(closed), new Set(['The grant of this session has ended.']))
  })

  it('leaves nothing behind when 30 sessions are opened and closed at once', async () => {
    const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
    const quiet = sockets()
    const { length: known } = await scene.records()
    const many = await Promise.all(Array.from({ length: 30 }, () => connect()))
    assert.equal(new Set(await scene.roles()).size, 30)
    const answers = await Promise.all(many.map((client) => client.query('SELECT count(*)::int AS n FROM orders')))
    assert.deepEqual(new Set(answers.map(({ rows }) => rows[0]?.n as number)), new Set([3]))
    await Promise.all(many.map((client) => client.end()))
    await within('the roles are gone', isGone)
    await assertEnded(scene, known, 30)
    // The gateway's own pools may have grown by four connections each.
    await within('the sockets are closed', async () => sockets() <= quiet + 8)
    assert.equal(scene.gateway.postgres.accepting, true)
    assert.deepEqual(scene.warnings, [])
  })
})

/** The wire under the driver: its socket, and an `errorMessage` event for each ErrorResponse. */
function connectionOf(client: Client): EventEmitter & { readonly stream: Socket } {
  return (client as unknown as { connection: EventEmitter & { readonly stream: Socket } }).connection
}

/** The trail of sessions that ended since `known` records: their leases verified as revoked; why they were closed. */
async function assertEnded(scene: Scene, known: number, sessions = 1): Promise<readonly string[]> {
  let trail: readonly StoredEntry[] = []
  await within('the sessions are closed in the log', async () => {
    trail = (await scene.records()).slice(known)
    return trail.filter(({ type }) => type === 'session.closed').length === sessions
  })
  const revoked = trail.filter((record) => record.type === 'lease.revoked')
  assert.deepEqual(
    revoked.map(({ verified, reason }) => [verified, reason]),
    Array.from({ length: sessions }, () => [true, 'session ended']),
  )
  return trail.filter((record) => record.type === 'session.closed').map(({ reason }) => reason)
}
