import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { CryptoKey } from 'jose'
import { sign, startIdp, type FakeIdp } from '../src/identity/idp.fake.ts'
import type { TokenRequest } from '../src/identity/local-tokens.ts'
import { sallyport } from './command.ts'
import { approve, connected, held, refused } from './holding.ts'
import { startScene, type Scene } from './scene.ts'

const POLICIES = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("updates-need-a-dba") @hold("group:dba") @wait("60s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.orders");
@id("deletes-need-two") @hold("group:dba") @quorum("2") @wait("60s")
permit (principal in Group::"data-agents", action == Action::"sql.delete", resource == Table::"orders/public.orders");
@id("customers-need-a-dba") @hold("group:dba") @wait("60s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.customers");
@id("customers-need-the-owner") @hold("group:crm") @wait("60s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.customers");
`

describe('who may approve what is held', () => {
  let scene: Scene
  let idp: FakeIdp
  let key: CryptoKey
  const user = (name: string, more: Partial<TokenRequest> = {}): Promise<string> =>
    scene.token({ kind: 'User', name, groups: ['dba'], person: `${name}@shop.example`, ...more })

  before(async () => {
    idp = await startIdp()
    key = await idp.addKey('k1')
    const oidc = { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' }
    const identity = [{ name: 'corp', kind: 'user', person: 'email', oidc, may_assert: ['dba'] }]
    scene = await startScene({ policies: POLICIES, config: { identity } })
    await scene.truth('INSERT INTO orders SELECT n, 1, 0 FROM generate_series(100, 120) n')
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
  })

  const corp = async (sub: string, email: string): Promise<string> => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: idp.issuer, aud: 'sallyport', sub, email, email_verified: true, groups: ['dba'] }
    return sign(key, { kid: 'k1' }, { ...claims, iat: now, exp: now + 600 })
  }
  const vote = (token: string, id: string, command = 'approve'): ReturnType<Scene['api']> =>
    scene.api(token, `/api/v1/approvals/${id}/${command}`, {})
  const total = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT total::int FROM orders WHERE id = ${id}`))[0]?.['total']

  it('not the requester, nor the same human under another account of another provider, nor an agent', async () => {
    const ada = await user('ada', { groups: ['data-agents', 'dba'] })
    await using client = await connected(scene, ada)
    const waiting = held(client)
    const result = client.query('UPDATE orders SET total = 1 WHERE id = 100')
    const id = await waiting
    const unfit = {
      'the requester': ada,
      'another token of the requester': await user('ada'),
      'the same human in another account': await user('ada-admin', { person: 'ada@shop.example' }),
      'the same human at another provider, spelled otherwise': await corp('a.lovelace', ' ADA@Shop.Example '),
      'an agent in the group': await scene.token({ name: 'dba-bot', groups: ['dba'] }),
      'a workload in the group': await scene.token({ kind: 'Workload', name: 'ci', groups: ['dba'] }),
      'a person of another group': await user('eve', {
        groups: ['data-agents', 'dba-interns', 'platform', 'security'],
      }),
    }
    for (const [who, token] of Object.entries(unfit)) {
      for (const command of ['approve', 'reject']) {
        const { status, body } = await vote(token, id, command)
        assert.equal(status, 403, `${who} may ${command}: ${JSON.stringify(body)}`)
        assert.equal(body['code'], 'denied')
      }
    }
    assert.equal(await total(100), 0)
    assert.equal((await approve(scene, id, await corp('grace', 'grace@shop.example')))['state'], 'approved')
    assert.equal((await result).rowCount, 1)
    assert.equal(await total(100), 1)
    const votes = (await scene.records()).filter((record) => record.type === 'vote' && record.approval === id)
    assert.deepEqual(
      votes.map((record) => record.type === 'vote' && record.by),
      ['corp/grace'],
    )
  })

  it('not the person whose token has ended or is not a token', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = refused(client.query('UPDATE orders SET total = 1 WHERE id = 101'))
    const id = await waiting
    const brief = await user('dora', { forMs: 1000 })
    await new Promise((resolve) => setTimeout(resolve, 1100))
    for (const token of [brief, 'nonsense', `${(await user('dora')).slice(0, -4)}AAAA`]) {
      assert.equal((await vote(token, id)).status, 401)
    }
    assert.equal((await vote(await user('dora'), id, 'reject')).status, 200)
    assert.equal((await result).refusal.code, 'approval_rejected')
    assert.equal(await total(101), 0)
  })

  it('not an agent by the command either: it exits with 1 and says why', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = refused(client.query('UPDATE orders SET total = 1 WHERE id = 102'))
    const id = await waiting
    const SALLYPORT_URL = `http://127.0.0.1:${scene.gateway.admin.port}`
    const SALLYPORT_TOKEN = await scene.token({ groups: ['data-agents', 'dba'] })
    const { code, stdout, stderr } = await sallyport(['approve', id], { SALLYPORT_URL, SALLYPORT_TOKEN })
    assert.equal(code, 1)
    assert.match(stderr, /Only a person, in their own name/)
    assert.doesNotMatch(stdout, /Approved/)
    assert.equal((await vote(await user('dora'), id, 'reject')).status, 200)
    assert.equal((await result).code, '42501')
    assert.equal(await total(102), 0)
  })

  it('only the requester among agents sees how it stands, and no more than that', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = refused(client.query('UPDATE orders SET total = 1 WHERE id = 103'))
    const id = await waiting
    const own = await scene.api(await scene.token(), `/api/v1/approvals/${id}`)
    assert.deepEqual(Object.keys(own.body).sort(), ['expires_at', 'id', 'operation', 'state'])
    const other = await scene.api(await scene.token({ name: 'other-bot' }), `/api/v1/approvals/${id}`)
    assert.equal(other.status, 404)
    await vote(await user('dora'), id, 'reject')
    await result
  })

  it('as many humans as the quorum says, each once', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = client.query('DELETE FROM orders WHERE id = 104')
    const id = await waiting
    assert.equal((await approve(scene, id, await user('dora')))['state'], 'pending')
    const again = await vote(await corp('d.ora', 'dora@shop.example'), id)
    assert.equal(again.status, 409)
    assert.equal(await total(104), 0)
    assert.equal((await approve(scene, id, await user('carl')))['state'], 'approved')
    assert.equal((await result).rowCount, 1)
    assert.equal(await total(104), undefined)
    const ran = (await scene.records()).findLast((record) => record.type === 'operation' && record.decision === 'allow')
    assert.deepEqual(ran?.type === 'operation' && ran.approval, { id, by: ['local/dora', 'local/carl'] })
  })

  it('one rejection is enough', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = refused(client.query('DELETE FROM orders WHERE id = 105'))
    const id = await waiting
    await approve(scene, id, await user('dora'))
    assert.equal((await vote(await user('carl'), id, 'reject')).status, 200)
    assert.equal((await result).refusal.code, 'approval_rejected')
    assert.equal((await vote(await user('otto'), id)).status, 409)
    assert.equal(await total(105), 0)
  })

  it('somebody of every group, where several rules hold it', async () => {
    await using client = await connected(scene)
    const waiting = held(client)
    const result = client.query("UPDATE customers SET name = 'Ada L.' WHERE id = 1")
    const id = await waiting
    assert.equal((await approve(scene, id, await user('dora')))['state'], 'pending')
    assert.equal((await approve(scene, id, await user('carl')))['state'], 'pending')
    assert.deepEqual(await scene.truth('SELECT name FROM customers WHERE id = 1'), [{ name: 'Ada' }])
    assert.equal((await approve(scene, id, await user('cleo', { groups: ['crm'] })))['state'], 'approved')
    assert.equal((await result).rowCount, 1)
    assert.deepEqual(await scene.truth('SELECT name FROM customers WHERE id = 1'), [{ name: 'Ada L.' }])
  })
})
