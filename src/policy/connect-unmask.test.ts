import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Identity } from '../gateway/domain.ts'
import { bot, identity, operation, policyOf, target, touch } from './policy-scene.ts'

const orders = target('orders')
const alice = identity('User', 'corp/alice', ['fraud'])

function connected(text: string, who: Identity = bot, to = orders): readonly [string, ...string[]] {
  const { verdict, rules } = policyOf(text).connect(who, to)
  return [verdict, ...rules]
}

function leaseOf(text: string): number | undefined {
  const decision = policyOf(text).connect(bot, orders)
  return decision.verdict === 'allow' ? decision.leaseMs : undefined
}

describe('connect', () => {
  const named = '@id("c") permit (principal, action == Action::"connect", resource == Target::"orders");'

  it('needs a permit whose scope names it: ==, in, or in a list', () => {
    assert.deepEqual(connected(named), ['allow', 'c'])
    for (const scope of ['in Action::"connect"', 'in [Action::"read", Action::"connect"]']) {
      assert.deepEqual(connected(`@id("c") permit (principal, action ${scope}, resource);`), ['allow', 'c'], scope)
    }
  })

  it('is not given by a permit for every action', () => {
    const text = '@id("all") permit (principal, action, resource);'
    assert.deepEqual(connected(text), ['deny'])
    assert.deepEqual(policyOf(text).decide(bot, operation(touch('sql.show', orders))).rules, ['all'])
  })

  it('is taken away by a forbid for every action', () => {
    assert.deepEqual(connected(`${named} @id("no") forbid (principal is Agent, action, resource);`), ['deny', 'no'])
  })

  it('says in words what is missing', () => {
    const missing = policyOf('').connect(bot, orders)
    assert.ok(missing.verdict === 'deny')
    assert.equal(missing.refusal.message, 'No rule permits connect on Target orders for Agent corp/bot.')
    const forbidden = policyOf('@id("no") forbid (principal, action, resource);').connect(bot, orders)
    assert.ok(forbidden.verdict === 'deny')
    assert.equal(forbidden.refusal.message, 'Connecting to orders is not allowed (rule no).')
  })

  it('lasts as long as the shortest lease, 15 minutes where none is said', () => {
    const lease = (id: string, time: string) =>
      `@id("${id}") @lease("${time}") permit (principal, action == Action::"connect", resource);`
    assert.equal(leaseOf(named), 900_000)
    assert.equal(leaseOf(lease('a', '5m')), 300_000)
    assert.equal(leaseOf(lease('a', '2h')), 7_200_000)
    assert.equal(leaseOf(lease('a', '5m') + lease('b', '30s')), 30_000)
    assert.equal(leaseOf(lease('a', '2h') + named), 900_000)
  })

  it('is asked of the person too when delegated, with context.delegated', () => {
    const forAlice = { ...bot, onBehalfOf: alice }
    const agents = '@id("a") permit (principal is Agent, action == Action::"connect", resource);'
    const people =
      '@id("p") permit (principal is User, action == Action::"connect", resource) when { context.delegated };'
    assert.deepEqual(connected(agents, forAlice), ['deny'])
    assert.deepEqual(connected(agents + people, forAlice), ['allow', 'a', 'p'])
    assert.deepEqual(connected(people, alice), ['deny'])
  })

  it('is denied to a target that is not registered', () => {
    const text = '@id("c") permit (principal, action == Action::"connect", resource);'
    assert.deepEqual(connected(text, bot, target('payroll')), ['deny'])
    assert.deepEqual(connected(text, bot, target('billing')), ['allow', 'c'])
  })
})

describe('unmasked', () => {
  const cards =
    '@id("f") permit (principal is User in Group::"fraud", action == Action::"unmask", resource in DataClass::"card");'
  const seen = (text: string, who: Identity, to = orders): readonly string[] =>
    policyOf(text).unmasked(who, to, ['pii', 'card'])

  it('gives the classes that a permit names, on every target or on one', () => {
    assert.deepEqual(seen(cards, alice), ['card'])
    assert.deepEqual(seen(cards, alice, target('billing')), ['card'])
    const here = cards.replace('resource in DataClass::"card"', 'resource == DataClass::"orders/card"')
    assert.deepEqual([seen(here, alice), seen(here, alice, target('billing'))], [['card'], []])
    const all = cards.replace('DataClass::"card"', 'Target::"orders"')
    assert.deepEqual([seen(all, alice), seen(all, alice, target('billing'))], [['pii', 'card'], []])
  })

  it('needs a permit whose scope names it', () => {
    assert.deepEqual(seen('@id("all") permit (principal, action, resource);', alice), [])
  })

  it('is taken away by a forbid', () => {
    const no =
      '@id("no") forbid (principal == User::"corp/alice", action == Action::"unmask", resource == DataClass::"orders/card");'
    assert.deepEqual(seen(cards + no, alice), [])
  })

  it('is never for an agent or a workload, nor for anyone one of them acts for', () => {
    const everyone = '@id("u") permit (principal, action == Action::"unmask", resource);'
    assert.deepEqual(seen(everyone, alice), ['pii', 'card'])
    for (const kind of ['Agent', 'Workload'] as const) {
      assert.deepEqual(seen(everyone, { ...alice, kind }), [])
      assert.deepEqual(seen(everyone, { ...bot, kind, onBehalfOf: alice }), [])
      assert.deepEqual(seen(everyone, { ...alice, onBehalfOf: { ...bot, kind } }), [])
    }
  })

  it('is the intersection when a person acts for another', () => {
    const bob = identity('User', 'corp/bob')
    assert.deepEqual(seen(cards, { ...alice, onBehalfOf: bob }), [])
    assert.deepEqual(seen(cards, { ...alice, onBehalfOf: { ...bob, groups: ['fraud'] } }), ['card'])
  })

  it('is nothing on a target that is not registered, nor for a class that pretends to be of another', () => {
    const everyone = '@id("u") permit (principal, action == Action::"unmask", resource);'
    assert.deepEqual(seen(everyone, alice, target('payroll')), [])
    assert.deepEqual(policyOf(everyone).unmasked(alice, orders, ['billing/card']), [])
  })
})
