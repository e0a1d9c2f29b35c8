import assert from 'node:assert/strict'
import { Command } from 'commander'
import { after, before, describe, it } from 'node:test'
import { addGrants } from '../src/cli/grants.ts'
import { addRequest } from '../src/cli/request.ts'
import { addRevoke } from '../src/cli/revoke.ts'
import { grantsApi, type GrantsApi } from './grants-scene.ts'
import { startScene, type Scene } from './scene.ts'

describe('asking for grants', () => {
  let scene: Scene
  let api: GrantsApi
  let agent = ''
  let other = ''
  let operator = ''
  let auditor = ''
  let outsider = ''
  before(async () => {
    scene = await startScene()
    api = grantsApi(scene)
    const user = (name: string, ...groups: readonly string[]) => scene.token({ kind: 'User', name, groups })
    agent = await scene.token()
    other = await scene.token({ name: 'other-bot' })
    operator = await user('ops', 'platform')
    auditor = await user('aud', 'security')
    outsider = await user('eve')
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const ids = async (token: string, query = ''): Promise<readonly unknown[]> => {
    const { body } = await api.call('GET', query, token)
    return (body['grants'] as readonly { readonly id: string }[]).map(({ id }) => id)
  }

  it('gives a user, a password and the way to connect', async () => {
    const given = await api.ask({ for: '5m', operations: ['read', 'session'] }, agent)
    const { id, opened_at: from, expires_at: to } = given
    assert.equal(given.user, id)
    assert.deepEqual(given.connect, {
      protocol: 'postgres',
      host: '127.0.0.1',
      port: scene.gateway.postgres.port,
      dbname: 'orders',
    })
    const life = Date.parse(to) - Date.parse(from)
    // It is counted from when it was asked for, which is before it was given.
    assert.ok(life <= 5 * 60_000 && life > 4 * 60_000, `${life} ms`)
    const { body } = await api.call('GET', `/${id}`, agent)
    assert.deepEqual(body, {
      id,
      state: 'live',
      identity: { id: 'local/report-bot', kind: 'Agent' },
      target: 'orders',
      purpose: 'fix order 17',
      operations: ['read', 'session'],
      opened_at: from,
      expires_at: to,
    })
  })

  it('is denied to whom no rule lets in, and for what there is not, in the same words', async () => {
    const wish = { target: 'orders', purpose: 'look around' }
    const denied = await api.call('POST', '', outsider, wish)
    const none = await api.call('POST', '', outsider, { ...wish, target: 'orders2' })
    assert.deepEqual([denied.status, none.status], [403, 403])
    assert.deepEqual(JSON.parse(JSON.stringify(none.body).replaceAll('orders2', 'orders')), denied.body)
    assert.equal(denied.body['code'], 'denied')
    const refused = (await scene.records()).filter(({ type }) => type === 'grant.refused')
    assert.equal(refused.length, 2)
  })

  for (const [what, more] of Object.entries({
    'no purpose': { purpose: undefined },
    'an empty purpose': { purpose: '  ' },
    'a long purpose': { purpose: 'x'.repeat(501) },
    'a purpose of two lines': { purpose: 'one\ntwo' },
    'a purpose that a terminal would obey': { purpose: 'fix \u001b[2J' },
    'a purpose that reads backwards': { purpose: 'fix \u202e' },
    'a target that is none': { target: '../orders' },
    'a time without a unit': { for: '15' },
    'no time': { for: '0m' },
    'a time beyond a week': { for: '169h' },
    'an unknown operation': { operations: ['sql.selct'] },
    'no operations': { operations: [] },
    'an operation that is none': { operations: ['connect'] },
    'another member': { identity: 'corp/ann' },
  })) {
    it(`is refused with ${what}`, async () => {
      const before = (await ids(agent)).length
      const wish = { target: 'orders', purpose: 'fix order 17', ...more }
      const { status, body } = await api.call('POST', '', agent, wish)
      assert.deepEqual([status, body['code']], [400, 'unreadable'])
      assert.equal((await ids(agent)).length, before)
    })
  }

  it('needs a token', async () => {
    const { id } = await api.ask({}, agent)
    for (const [method, path] of [
      ['POST', ''],
      ['GET', ''],
      ['GET', `/${id}`],
      ['DELETE', `/${id}`],
      ['GET', `/${id}/hold`],
    ] as const)
      assert.equal((await api.call(method, path, 'no-token')).status, 401, `${method} ${path}`)
  })

  it('shows everyone their own, and everybody to those who oversee', async () => {
    const own = await api.ask({}, agent)
    const others = await api.ask({}, other)
    assert.ok((await ids(agent)).includes(own.id) && !(await ids(agent)).includes(others.id))
    assert.deepEqual(await ids(outsider), [])
    for (const token of [agent, other, outsider]) assert.equal((await api.call('GET', '?all=true', token)).status, 403)
    for (const token of [operator, auditor]) {
      const all = await ids(token, '?all=true&live=true')
      assert.ok(all.includes(own.id) && all.includes(others.id))
      assert.deepEqual(await ids(token), [])
    }
    const seen = async (token: string, method = 'GET', path = ''): Promise<number> =>
      (await api.call(method, `/${own.id}${path}`, token)).status
    assert.deepEqual(
      await Promise.all([agent, other, outsider, auditor, operator].map((token) => seen(token))),
      [200, 404, 404, 200, 200],
    )
    for (const token of [other, outsider, auditor]) assert.equal(await seen(token, 'DELETE'), 404)
    for (const token of [other, outsider, auditor, operator]) assert.equal(await seen(token, 'GET', '/hold'), 404)
    assert.equal((await api.call('GET', `/${own.id}`, agent)).body['state'], 'live')
    assert.equal(await seen(operator, 'DELETE'), 200)
    const { body } = await api.call('GET', `/${own.id}`, agent)
    assert.deepEqual([body['state'], body['reason']], ['ended', 'revoked by local/ops'])
    assert.ok(!(await ids(agent, '?live=true')).includes(own.id))
  })

  it('stops at a hundred that live, of one identity', async () => {
    const many = await scene.token({ name: 'many-bot' })
    for (let made = 0; made < 100; made++) await api.ask({}, many)
    const { status, body } = await api.call('POST', '', many, { target: 'orders', purpose: 'one more' })
    assert.deepEqual([status, body['code']], [429, 'budget'])
    await api.ask({}, agent)
  })

  type Run = { readonly out: readonly string[]; readonly err: readonly string[]; readonly failed: boolean }
  const run = async (token: string, ...line: readonly string[]): Promise<Run> => {
    const out: string[] = []
    const err: string[] = []
    let failed = false
    const program = new Command().exitOverride().configureOutput({ writeErr: (text) => void err.push(text) })
    const terminal = {
      env: { SALLYPORT_URL: `http://127.0.0.1:${scene.gateway.admin.port}`, SALLYPORT_TOKEN: token },
      columns: 80,
      print: (text: string) => void out.push(text),
      complain: (text: string) => void err.push(text),
      fail: () => {
        failed = true
      },
    }
    for (const add of [addRequest, addGrants, addRevoke]) add(program, terminal)
    await program.parseAsync(line, { from: 'user' })
    return { out, err, failed }
  }

  it('is a command, which prints how to connect', async () => {
    const line = ['request', 'orders', '--purpose', 'fix order 17', '--for', '5m', '--operations', 'read, session']
    const { out } = await run(agent, ...line)
    const said = out.join('\n')
    const form = /PGPASSWORD=(?<password>\S+) psql ".* user=(?<user>\S+) dbname=orders sslmode=require"/
    const { user = '', password = '' } = form.exec(said)?.groups ?? {}
    assert.match(out[0]!, new RegExp(`^Grant ${user} for orders until .*, only for read, session\\.$`))
    const client = await api.connect({ user, password })
    await client.end()
  })

  it('is a command that gives one JSON object, and one that ends what it gave', async () => {
    const { out } = await run(agent, 'request', 'orders', '--purpose', 'a report', '--json')
    const given = JSON.parse(out.join('')) as { id: string; password: string }
    const listed = await run(agent, 'grants', '--live', '--json')
    assert.ok(listed.out.map((text) => (JSON.parse(text) as { id: string }).id).includes(given.id))
    const table = await run(operator, 'grants', '--all')
    assert.match(table.out.join('\n'), new RegExp(`${given.id} +live +\\S+ +orders +local/report-bot +all +a report`))
    assert.ok(![...listed.out, ...table.out].join('').includes(given.password))
    const revoked = await run(agent, 'revoke', given.id)
    assert.deepEqual(revoked.out, [`Grant ${given.id} has ended: revoked by local/report-bot.`])
    assert.equal((await run(other, 'revoke', given.id)).failed, true)
  })

  it('is a command that says why it was refused', async () => {
    const denied = await run(outsider, 'request', 'orders', '--purpose', 'look around')
    assert.equal(denied.failed, true)
    assert.match(denied.err[0]!, /^No rule permits connect on Target orders for User local\/eve/)
    await assert.rejects(run(agent, 'request', 'orders'), { code: 'commander.missingMandatoryOptionValue' })
    assert.equal((await run(outsider, 'grants', '--all')).failed, true)
  })
})
