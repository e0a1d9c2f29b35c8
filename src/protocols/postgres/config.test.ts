import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readContext } from '../../config/references.ts'
import { postgresConfig } from './config.ts'
import { DETECTOR_NAMES } from '../../mask/detectors.ts'

const environment = {
  ADMIN: 'postgresql://gate:hunter2@db:5432/orders',
  NOT_A_URL: 'hunter2',
  NO_USER: 'postgresql://db/x',
}
const schema = postgresConfig(readContext(import.meta.dirname, environment))
const base = { url: 'postgresql://db.internal/orders', lease: { password: 'env:ADMIN' } }

const PROFILE = { schemas: ['public'], rights: ['select', 'insert'] }

const read = (more: object) => schema.parse({ ...base, ...more })
const problems = (more: object): string => {
  const result = schema.safeParse({ ...base, ...more })
  return result.success
    ? ''
    : result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n')
}

describe('the postgres part of a target', () => {
  it('says where the database is', () => {
    const { host, port, database } = read({ url: 'postgres://[::1]:6000/my%20db' })
    assert.deepEqual({ host, port, database }, { host: '::1', port: 6000, database: 'my db' })
    assert.equal(read({}).port, 5432)
  })

  it('has no credential, parameter or nonsense in its URL, and never repeats it', () => {
    const bad = [
      'u:hunter2@h/d',
      'hunter2@h/d',
      'h/d?sslmode=disable',
      'h/d#x',
      'h',
      'h/',
      'h/%00',
      'h/%',
      '/d',
      'a,b/d',
    ]
    for (const rest of bad) {
      const found = problems({ url: `postgresql://${rest}` })
      assert.match(found, /^url: must/, rest)
      assert.doesNotMatch(found, /hunter2/)
    }
    assert.match(problems({ url: 'https://h/d' }), /^url: must be postgresql/)
  })

  it('takes credentials from exactly one kind of lease', () => {
    const role = { admin: 'env:ADMIN', member_of: ['writer'], owner: 'owner' }
    const { lease } = read({ lease: { 'postgres-role': role } })
    assert.ok(lease.from === 'postgres-role')
    assert.deepEqual([lease.memberOf, lease.owner, lease.admin.reveal()], [['writer'], 'owner', environment.ADMIN])
    assert.match(problems({ lease: {} }), /exactly one of/)
    assert.match(problems({ lease: { password: 'env:ADMIN', 'postgres-role': role } }), /exactly one of/)
    assert.match(problems({ lease: { 'rds-iam': {} } }), /not built yet/)
    assert.match(problems({ lease: { 'postgres-role': { ...role, profile: PROFILE } } }), /exactly one of/)
    assert.match(problems({ lease: { 'postgres-role': { admin: 'env:ADMIN' } } }), /exactly one of/)
    assert.match(problems({ lease: { 'postgres-role': { ...role, member_of: [] } } }), /must name a role/)
    assert.match(problems({ lease: { 'postgres-role': { ...role, owner: 'x'.repeat(64) } } }), /1 to 63 bytes/)
  })

  it('takes a profile of schemas of the database, with rights to read and write rows', () => {
    const lease = (profile: object): object => ({ 'postgres-role': { admin: 'env:ADMIN', profile } })
    const given = read({ lease: lease(PROFILE) }).lease
    assert.ok(given.from === 'postgres-role')
    assert.deepEqual([given.profile, given.memberOf], [PROFILE, []])
    for (const schema of ['pg_catalog', 'information_schema', ''])
      assert.notEqual(problems({ lease: lease({ ...PROFILE, schemas: [schema] }) }), '', schema)
    for (const right of ['truncate', 'SELECT', 'references'])
      assert.notEqual(problems({ lease: lease({ ...PROFILE, rights: [right] }) }), '', right)
    for (const profile of [{ ...PROFILE, schemas: [] }, { ...PROFILE, rights: [] }, { schemas: ['public'] }])
      assert.notEqual(problems({ lease: lease(profile) }), '')
    for (const inference of ['equality', 'any'])
      assert.match(
        problems({ lease: lease(PROFILE), inference }),
        /^inference: .* needs inference: none; use member_of/,
      )
    assert.equal(read({ lease: lease(PROFILE), inference: 'none' }).inference, 'none')
  })

  it('has connection URLs as secrets', () => {
    for (const reference of ['env:NOT_A_URL', 'env:NO_USER', 'postgresql://u:hunter2@h/d']) {
      const found = problems({ lease: { password: reference } })
      assert.match(found, /^lease.password: /)
      assert.doesNotMatch(found, /hunter2/)
    }
  })

  it('names sensitive columns in full', () => {
    assert.deepEqual(read({ sensitive: { pii: ['public.customers.email'] } }).sensitive, {
      pii: ['public.customers.email'],
    })
    for (const column of ['customers.email', 'a.b.c.d', 'a..c', '']) {
      assert.match(problems({ sensitive: { pii: [column] } }), /schema.table.column/)
    }
    assert.notEqual(problems({ sensitive: { 'P I': [] } }), '')
  })

  it('refuses detectors and uses of hidden columns that do not exist', () => {
    assert.deepEqual(read({ detect: ['email', 'credit_card'] }).detect, ['email', 'credit_card'])
    assert.deepEqual(read({ detect: DETECTOR_NAMES }).detect, DETECTOR_NAMES)
    assert.match(problems({ detect: ['passport'] }), /unknown detector/)
    assert.match(problems({ detect: ['e-mail'] }), /did you mean "email"/)
    assert.match(problems({ inference: 'equal' }), /known: none, equality, any/)
    assert.match(problems({ sslmod: 'disable' }), /did you mean "sslmode"/)
  })

  it('verifies the target unless it is on loopback or told otherwise', () => {
    const mode = (more: object) => read(more).tls.mode
    assert.equal(mode({}), 'verify-full')
    assert.equal(mode({ sslmode: 'disable' }), 'disable')
    assert.equal(mode({ url: 'postgresql://127.0.0.1/d' }), 'prefer')
    assert.equal(mode({ url: 'postgresql://127.0.0.1/d', ca: 'config.ts' }), 'verify-full')
    assert.equal(mode({ url: 'postgresql://127.0.0.1.example/d' }), 'verify-full')
    assert.match(problems({ ca: 'config.ts', sslmode: 'require' }), /does nothing with sslmode require/)
    assert.notEqual(problems({ sslmode: 'prefer' }), '')
  })
})
