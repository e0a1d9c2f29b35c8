import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KindRule, ProviderConfig } from '../config/providers.ts'
import { identityOf } from './identity-of.ts'

const USER: KindRule = { kind: 'User', claims: {} }
const provider = (more: Partial<ProviderConfig> = {}, groups: string | undefined = 'groups'): ProviderConfig => {
  return { name: 'corp', kind: [USER], oidc: { issuer: 'https://idp', audience: 'a', groups }, ...more }
}
const of = (claims: object, by = provider()) => identityOf({ sub: 'alice', exp: 1, ...claims }, by)
const identity = (claims: object, by = provider()) => {
  const result = of(claims, by)
  assert.ok('identity' in result)
  return result.identity
}
const problem = (claims: object, by = provider()): string => {
  const result = of(claims, by)
  assert.ok('refusal' in result)
  return result.refusal.message
}
const groups = (value: unknown, by = provider()) => identity({ groups: value }, by).groups

describe('groups', () => {
  it('are the texts of the claim, exactly, and nothing made out of other things', () => {
    assert.deepEqual(groups(['devs', ['admins'], 5, null, { admins: true }, '', 'a\0b', 'a\u202eb']), ['devs'])
    assert.deepEqual(groups('devs,admins'), ['devs,admins'])
    for (const value of [{ admins: true }, 5, null, true, undefined]) assert.deepEqual(groups(value), [])
  })

  it('are not read where no claim is configured', () => {
    const { oidc, ...rest } = provider()
    const none = { ...rest, oidc: { issuer: oidc.issuer, audience: oidc.audience } }
    assert.deepEqual(groups(['admins'], none), [])
  })

  it('are found under a literal name first, else along a path of dots', () => {
    const at = (name: string, claims: object) => identity(claims, provider({}, name)).groups
    assert.deepEqual(at('realm_access.roles', { realm_access: { roles: ['a'] } }), ['a'])
    assert.deepEqual(at('realm_access.roles', { 'realm_access.roles': ['b'], realm_access: { roles: ['a'] } }), ['b'])
    assert.deepEqual(at('https://x.example/groups', { 'https://x': { 'example/groups': ['a'] } }), [])
    assert.deepEqual(at('https://x.example/groups', { 'https://x.example/groups': ['c'] }), ['c'])
    for (const name of ['constructor.name', '__proto__.x', 'sub.length', 'a.0']) {
      assert.deepEqual(at(name, { a: ['x'] }), [])
    }
  })

  it('are limited to what the provider may assert: any for users, none for agents and workloads', () => {
    assert.deepEqual(groups(['data-a', 'dba', 'xdba'], provider({ mayAssert: ['data-*', 'dba'] })), ['data-a', 'dba'])
    for (const kind of ['Agent', 'Workload'] as const) {
      assert.deepEqual(groups(['dba'], provider({ kind: [{ kind, claims: {} }] })), [])
      assert.deepEqual(groups(['dba'], provider({ kind: [{ kind, claims: {} }], mayAssert: ['dba'] })), ['dba'])
    }
    assert.deepEqual(groups(['dba'], provider({ mayAssert: [] })), [])
  })

  it('are all there or the token is refused: a missing one could lift a forbid', () => {
    assert.equal(groups(Array.from({ length: 1000 }, (_, i) => `g${i}`)).length, 1000)
    assert.match(problem({ groups: Array.from({ length: 1001 }, (_, i) => `g${i}`) }), /more than 1000 groups/)
    assert.match(problem({ groups: ['x'.repeat(256)] }), /more than 255 characters/)
    assert.match(problem({ _claim_names: { groups: 'src1' } }), /only a pointer/)
  })
})

describe('groups that the config gives', () => {
  const rule = { group: 'deployers', claims: { repository: 'acme/shop', ref: ['refs/heads/main', 'refs/heads/next'] } }
  const ci = provider({ kind: [{ kind: 'Workload', claims: {} }], groups: [rule], mayAssert: ['ci-*'] })
  const main = { repository: 'acme/shop', ref: 'refs/heads/main' }

  it('need every claim that they name, with one of the values', () => {
    assert.deepEqual(identity(main, ci).groups, ['deployers'])
    assert.deepEqual(identity({ ...main, ref: 'refs/heads/next' }, ci).groups, ['deployers'])
    const others = [
      { ...main, repository: 'acme/shop2' },
      { ...main, repository: 'Acme/shop' },
      { ...main, repository: undefined },
      { ...main, repository: { name: 'acme/shop' } },
      { ...main, ref: 'refs/heads/main2' },
      { ...main, ref: 'refs/tags/main' },
      { repository: 'acme/shop' },
      { repository: ['acme/shop'], ref: [['refs/heads/main']] },
      {},
    ]
    for (const claims of others) assert.deepEqual(identity(claims, ci).groups, [], JSON.stringify(claims))
  })

  it('are found along paths and in lists, and a number is not its text', () => {
    const by = provider({ groups: [{ group: 'g', claims: { 'a.b': 1, roles: true } }] })
    assert.deepEqual(identity({ a: { b: 1 }, roles: ['x', true] }, by).groups, ['g'])
    assert.deepEqual(identity({ a: { b: '1' }, roles: true }, by).groups, [])
  })

  it('are not bounded by may_assert, and come once beside those that the token claims', () => {
    const claimed = { ...main, groups: ['ci-a', 'admins', 'ci-a'] }
    assert.deepEqual(identity(claimed, ci).groups, ['ci-a', 'deployers'])
    const same = provider({ kind: ci.kind, mayAssert: ['*'], groups: [rule, { ...rule, group: 'ci-a' }] })
    assert.deepEqual(identity({ ...claimed, groups: ['ci-a'] }, same).groups, ['ci-a', 'deployers'])
  })

  it('do not come from an address that nobody verified', () => {
    const by = provider({ groups: [{ group: 'g', claims: { email: 'a@x.example' } }] })
    assert.deepEqual(identity({ email: 'a@x.example', email_verified: false }, by).groups, [])
    assert.deepEqual(identity({ email: 'a@x.example', email_verified: true }, by).groups, ['g'])
  })
})

describe('the kind', () => {
  const rules = (...kind: KindRule[]) => provider({ kind: kind as unknown as readonly [KindRule] })
  const agent: KindRule = { kind: 'Agent', claims: { client_type: 'agent' } }

  it('is that of the first rule whose claims all fit', () => {
    const by = rules({ kind: 'Workload', claims: { client_type: 'agent', ci: true } }, agent, USER)
    assert.equal(identity({ client_type: 'agent', ci: true }, by).kind, 'Workload')
    assert.equal(identity({ client_type: 'agent', ci: 'true' }, by).kind, 'Agent')
    assert.equal(identity({ client_type: ['x', 'agent'] }, by).kind, 'Agent')
    assert.equal(identity({ client_type: 'Agent' }, by).kind, 'User')
  })

  it('is required', () => {
    assert.match(problem({}, rules(agent)), /fits no kind of the provider corp/)
  })
})

describe('the person', () => {
  const by = provider({ person: 'email', kind: [{ kind: 'Agent', claims: { email: 'a@x.example' } }, USER] })

  it('is the text of its claim', () => {
    assert.equal(identity({ email: 'b@x.example', email_verified: true }, by).person, 'b@x.example')
    assert.equal(identity({ email: 'b@x.example' }, by).person, 'b@x.example')
    for (const email of [5, '', ['b@x.example'], 'a\nb', undefined]) assert.ok(!('person' in identity({ email }, by)))
  })

  it('is not an address that nobody verified, which counts for nothing else either', () => {
    for (const email_verified of [false, 'false', 'true', 0, null]) {
      const { person, kind } = identity({ email: 'a@x.example', email_verified }, by)
      assert.deepEqual([person, kind], [undefined, 'User'])
    }
    assert.equal(identity({ email: 'a@x.example', email_verified: true }, by).kind, 'Agent')
  })
})
