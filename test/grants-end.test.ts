import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import { grantsApi, refusedWith, type Given, type GrantsApi } from './grants-scene.ts'
import { startScene, type Scene } from './scene.ts'
import { SLEEPERS, within } from './waiting.ts'

describe('the end of a grant', () => {
  let scene: Scene
  let api: GrantsApi
  before(async () => {
    scene = await startScene({ rules: SLEEPERS })
    api = grantsApi(scene)
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const groups = ['data-agents', 'sleepers']
  const roleOf = async (client: Client): Promise<string> =>
    (await client.query<{ role: string }>('select current_user as role')).rows[0]!.role
  const isGone = async (role: string): Promise<boolean> => !(await scene.roles()).includes(role)
  const running = async (role: string): Promise<number> =>
    (await scene.truth(`select 1 from pg_stat_activity where usename = '${role}' and state = 'active'`)).length
  const endedWith = async (id: string): Promise<readonly string[]> =>
    (await scene.records()).flatMap((entry) =>
      entry.type === 'grant.ended' && entry.grant === id ? [entry.reason] : [],
    )
  const closing = (client: Client): Promise<void> => new Promise((resolve) => void client.once('end', resolve))
  /** The stream that holds a grant, line by line. */
  const hold = async (given: Given): Promise<{ lines: AsyncIterator<string>; leave: () => void; status: number }> => {
    const leaving = new AbortController()
    const url = `http://127.0.0.1:${scene.gateway.admin.port}/api/v1/grants/${given.id}/hold`
    const headers = { authorization: `Bearer ${await scene.token()}` }
    const response = await fetch(url, { headers, signal: leaving.signal })
    const input = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0])
    input.on('error', () => undefined)
    const lines = createInterface({ input })[Symbol.asyncIterator]()
    return { lines, leave: () => leaving.abort(), status: response.status }
  }

  for (const [what, sql] of [
    ['a statement that sleeps', 'select pg_sleep(60)'],
    ['an answer of a gigabyte', 'select repeat(md5(a::text), 1000) from generate_series(1, 30000) a'],
  ] as const) {
    it(`stops ${what}: it is cancelled at the target, the role goes, and all is recorded`, async () => {
      const token = await scene.token({ groups })
      const given = await api.ask({}, token)
      const client = await api.connect(given)
      const role = await roleOf(client)
      const asked = refusedWith(client.query(sql))
      await within('it runs', async () => (await running(role)) === 1)
      const ended = await api.revoke(given.id, token)
      assert.deepEqual([ended.state, ended.reason], ['ended', 'revoked by local/report-bot'])
      await within('the role is gone', () => isGone(role))
      assert.equal(await running(role), 0)
      const { message } = await asked
      assert.match(message, /The grant of this session has ended: revoked by|Connection terminated/)
      await within('the session is closed', async () =>
        (await scene.records()).some((one) => one.type === 'session.closed' && one.reason.includes('revoked by')),
      )
      assert.deepEqual(await endedWith(given.id), ['revoked by local/report-bot'])
      assert.equal((await refusedWith(api.connect(given))).state, '28P01')
    })
  }

  it('stops all of its sessions and no other', async () => {
    const given = await api.ask()
    const second = await api.ask()
    const theirs = [await api.connect(given), await api.connect(given)]
    const others = [await api.connect(second), await scene.connect()]
    const closed = theirs.map(closing)
    await api.revoke(given.id)
    await Promise.all(closed)
    for (const client of others) {
      assert.equal((await client.query('select 1')).rowCount, 1)
      await client.end()
    }
    assert.equal((await api.revoke(given.id)).reason, 'revoked by local/report-bot')
    assert.equal((await endedWith(given.id)).length, 1)
  })

  it('comes by itself when its time is over', async () => {
    const given = await api.ask({ for: '2s' })
    const client = await api.connect(given)
    const role = await roleOf(client)
    await closing(client)
    assert.equal((await refusedWith(api.connect(given))).state, '28P01')
    await within('the role is gone', () => isGone(role))
    await within('it is recorded', async () => (await endedWith(given.id)).length === 1)
    assert.deepEqual(await endedWith(given.id), ['expired'])
  })

  it('comes when the connection that holds it breaks off', async () => {
    const given = await api.ask()
    const client = await api.connect(given)
    const { lines, leave } = await hold(given)
    assert.deepEqual(JSON.parse(String((await lines.next()).value)), { grant: given.id, held: true })
    assert.equal((await hold(given)).status, 409)
    assert.equal((await client.query('select 1')).rowCount, 1)
    const closed = closing(client)
    leave()
    await closed
    await within('it is recorded', async () => (await endedWith(given.id)).length === 1)
    assert.deepEqual(await endedWith(given.id), ['its holder went away'])
    assert.equal((await hold(given)).status, 409)
  })

  it('is told to the connection that holds it', async () => {
    const given = await api.ask()
    const { lines } = await hold(given)
    await lines.next()
    await api.revoke(given.id)
    const last = { grant: given.id, ended: 'revoked by local/report-bot' }
    assert.deepEqual(JSON.parse(String((await lines.next()).value)), last)
    assert.equal((await lines.next()).done, true)
  })

  it('does not come with a restart of the gateway, unless something held it', async () => {
    const [kept, held] = [await api.ask(), await api.ask()]
    const { lines } = await hold(held)
    await lines.next()
    await scene.restart()
    assert.deepEqual([await endedWith(kept.id), await endedWith(held.id)], [[], ['the gateway stopped']])
    await (await api.connect(kept)).end()
    assert.equal((await refusedWith(api.connect(held))).state, '28P01')
  })
})
