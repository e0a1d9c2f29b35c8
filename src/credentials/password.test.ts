import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { after, before, describe, it } from 'node:test'
import { startPostgres } from '../../test/postgres.ts'
import type { TestPostgres } from '../../test/postgres.ts'
import { Fault } from '../gateway/fault.ts'
import { Secret } from '../gateway/secret.ts'
import type { LeaseRequest } from '../grants/lease.ts'
import { passwordLease } from './password.ts'
import { readLogin } from './postgres-pool.ts'

const REQUEST: LeaseRequest = {
  session: 'ses_0190f6a2-0000-7000-8000-000000000001',
  identity: { kind: 'User', provider: 'corp', subject: 'ann', groups: [], expiresAt: 0 },
  target: 'orders',
  expiresAt: 0,
  hidden: [],
}

describe('passwordLease', () => {
  let postgres: TestPostgres
  before(async () => (postgres = await startPostgres()))
  after(() => postgres[Symbol.asyncDispose]())

  it('lends the login of its URL, and has nothing to revoke or sweep', async () => {
    await using source = leaseOf('p%40ss%2Fword')
    const lease = await source.take(REQUEST)
    const second = await source.take(REQUEST)
    assert.equal(lease.name, 'writer')
    assert.deepEqual([lease.credential.user, lease.credential.password.reveal()], ['writer', 'p@ss/word'])
    assert.deepEqual(await lease.revoke(), { verified: true })
    assert.equal(lease.credential.password.reveal(), '')
    assert.equal(second.credential.password.reveal(), 'p@ss/word')
    assert.deepEqual(await source.sweep(), [])
    assert.equal(inspect(source, { depth: 9 }).includes('p@ss'), false)
  })

  it('tries the login when checked', async () => {
    await postgres.query(`CREATE ROLE writer LOGIN PASSWORD 'right'`)
    await using good = leaseOf('right')
    await using bad = leaseOf('wrong')
    assert.deepEqual(await good.check(), [])
    assert.match((await bad.check())[0]?.lacks ?? '', /as "writer": password authentication failed/)
  })

  function leaseOf(password: string): ReturnType<typeof passwordLease> {
    const login = new Secret(`postgresql://writer:${password}@127.0.0.1:${postgres.port}/`)
    return passwordLease({ target: 'orders', url: postgres.url('postgres'), login })
  }
})

describe('readLogin', () => {
  const read = (url: string, login: string): ReturnType<typeof readLogin> =>
    readLogin({ url, login: new Secret(login) })

  it('takes the database of the target and the server of the login', () => {
    const { user, password, server } = read(
      'postgresql://db:5432/orders',
      'postgres://ad%20min:p%3A%25@direct:6000/other',
    )
    assert.deepEqual([user, password.reveal()], ['ad min', 'p:%'])
    assert.deepEqual(server, { host: 'direct', port: 6000, database: 'orders', ssl: true })
  })

  it('verifies TLS except on loopback or where it is switched off', () => {
    const ssl = (login: string): unknown => read('postgresql://db/orders', login).server.ssl
    assert.equal(ssl('postgresql://u@db.example.com/x'), true)
    assert.equal(ssl('postgresql://u@127.evil.example.com/x'), true)
    assert.equal(ssl('postgresql://u@db.example.com/x?sslmode=prefer'), true)
    assert.equal(ssl('postgresql://u@db.example.com/x?sslmode=disable'), false)
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) assert.equal(ssl(`postgresql://u@${host}/x`), false)
  })

  it('names the fault of a URL and never the URL', () => {
    const wrong = [
      ['postgresql://db/orders', 'canary:secret@host'],
      ['postgresql://db/orders', 'postgresql://db/canary'],
      ['postgresql://db', 'postgresql://canary@db/orders'],
      ['mysql://db/orders', 'postgresql://canary@db/orders'],
    ] as const
    for (const [url, login] of wrong) {
      assert.throws(
        () => read(url, login),
        (error) => error instanceof Fault && error.code === 'config' && !inspect(error).includes('canary'),
      )
    }
  })
})
