import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Identity } from '../gateway/domain.ts'
import { bot, identity, policyOf, target } from './policy-scene.ts'

const alice = identity('User', 'corp/alice', ['data-agents', 'dba'])

/** What is possible on `orders` under heads of policies, each `permit(...)` or `forbid(...)` with its conditions. */
function possible(heads: readonly string[], who: Identity = bot, where = 'orders'): readonly string[] {
  const text = heads.map((head, i) => `@id("r${i}") ${head};`).join('\n')
  return [...policyOf(text).possibleActions(who, target(where))].toSorted()
}

const READ = ['http.get', 'sql.lo_read', 'sql.select']
const READ_AND_TWO =
  'permit (principal, action in [Action::"read", Action::"sql.insert", Action::"sql.lock"], resource)'
const TWO = [...READ, 'sql.insert', 'sql.lock'].toSorted()

const GIVEN: readonly (readonly [what: string, heads: readonly string[], actions: readonly string[]])[] = [
  ['nothing where nothing is permitted', [], []],
  ['the actions of a group', ['permit (principal, action in Action::"read", resource)'], READ],
  ['the actions of a list of groups and actions', [READ_AND_TWO], TWO],
  ['one action', ['permit (principal, action == Action::"sql.drop", resource)'], ['sql.drop']],
  [
    'what a condition may permit',
    ['permit (principal, action == Action::"sql.delete", resource) when { context.has_where }'],
    ['sql.delete'],
  ],
  [
    'what only a hold permits',
    ['@hold("group:dba") permit (principal, action == Action::"sql.delete", resource)'],
    ['sql.delete'],
  ],
  ['a permit of its group', ['permit (principal in Group::"data-agents", action in Action::"read", resource)'], READ],
  ['no permit of another group', ['permit (principal in Group::"dba", action in Action::"read", resource)'], []],
  ['a permit of its name', ['permit (principal == Agent::"corp/bot", action in Action::"read", resource)'], READ],
  [
    'no permit of the same name of another kind',
    ['permit (principal == User::"corp/bot", action in Action::"read", resource)'],
    [],
  ],
  ['a permit of its kind', ['permit (principal is Agent, action in Action::"read", resource)'], READ],
  [
    'no permit of another kind',
    ['permit (principal is User in Group::"data-agents", action in Action::"read", resource)'],
    [],
  ],
  [
    'a permit of one table',
    ['permit (principal, action == Action::"sql.select", resource == Table::"orders/a.b")'],
    ['sql.select'],
  ],
  [
    'a permit by label',
    ['permit (principal, action == Action::"sql.select", resource in Label::"env=prod")'],
    ['sql.select'],
  ],
  [
    'no permit by a label that the target has not',
    ['permit (principal, action == Action::"sql.select", resource in Label::"env=test")'],
    [],
  ],
  [
    'no permit of another target',
    ['permit (principal, action == Action::"sql.select", resource in Target::"billing")'],
    [],
  ],
  [
    'only what can be done to the type',
    ['permit (principal, action in [Action::"read", Action::"write"], resource is Path)'],
    ['http.delete', 'http.get', 'http.patch', 'http.post', 'http.put'],
  ],
  ['connect where it is named', ['permit (principal, action == Action::"connect", resource)'], ['connect']],
  [
    'no unmask for an agent',
    ['permit (principal, action in [Action::"unmask", Action::"connect"], resource)'],
    ['connect'],
  ],
]

const TAKEN: readonly (readonly [what: string, forbid: string, actions: readonly string[]])[] = [
  ['what is forbidden everywhere', 'forbid (principal, action in Action::"write", resource)', [...READ, 'sql.lock']],
  [
    'what is forbidden on the target',
    'forbid (principal, action == Action::"sql.lock", resource in Target::"orders")',
    [...READ, 'sql.insert'],
  ],
  [
    'what is forbidden by a label of it',
    'forbid (principal, action == Action::"sql.lock", resource in Label::"env=prod")',
    [...READ, 'sql.insert'],
  ],
  ['what is forbidden to its group', 'forbid (principal in Group::"data-agents", action, resource)', []],
  ['nothing of what is forbidden to others', 'forbid (principal in Group::"dba", action, resource)', TWO],
  [
    'nothing of what is forbidden on a condition',
    'forbid (principal, action == Action::"sql.lock", resource) when { context.delegated }',
    TWO,
  ],
  [
    'nothing of what is forbidden unless something is so',
    'forbid (principal is Agent, action == Action::"sql.insert", resource) unless { context.unbounded }',
    TWO,
  ],
  ['nothing of what is forbidden on a schema', 'forbid (principal, action, resource in Schema::"orders/public")', TWO],
  [
    'nothing of what is forbidden on tables only',
    'forbid (principal, action == Action::"sql.insert", resource is Table)',
    TWO,
  ],
  [
    'nothing of what is forbidden on the target itself',
    'forbid (principal, action == Action::"sql.insert", resource == Target::"orders")',
    TWO,
  ],
  ['nothing of what is forbidden elsewhere', 'forbid (principal, action, resource in Target::"billing")', TWO],
]

const NARROW: readonly (readonly [permitted: string, forbidden: string, left: boolean])[] = [
  ['== Table::"orders/public.users"', 'in Schema::"orders/public"', false],
  ['== Table::"orders/public.users"', '== Table::"orders/public.users"', false],
  ['== Table::"orders/public.users"', 'is Table', false],
  ['== Table::"orders/public.users"', 'is Table in Schema::"orders/public"', false],
  ['is Table in Schema::"orders/public"', 'is Table', false],
  ['in Schema::"orders/public"', 'in Schema::"orders/public"', false],
  ['in Schema::"orders/public"', 'in Target::"orders"', false],
  ['== Target::"orders"', '== Target::"orders"', false],
  ['in Schema::"orders/public"', '== Schema::"orders/public"', true],
  ['in Schema::"orders/public"', 'is Table in Schema::"orders/public"', true],
  ['in Schema::"orders/public"', 'in Schema::"orders/pub"', true],
  ['== Table::"orders/public.users"', '== Table::"orders/public.others"', true],
  ['== Table::"orders/public.users"', 'in Schema::"orders/other"', true],
  ['== Table::"orders/a.b.c"', 'in Schema::"orders/a"', true],
  ['', '== Table::"orders/public.users"', true],
]

describe('the actions that an identity could ever be permitted on a target', () => {
  for (const [what, heads, actions] of GIVEN) {
    it(`are ${what}`, () => assert.deepEqual(possible(heads), actions.toSorted()))
  }

  for (const [what, forbid, actions] of TAKEN) {
    it(`lose ${what}`, () => assert.deepEqual(possible([READ_AND_TWO, forbid]), actions.toSorted()))
  }

  for (const [permitted, forbidden, left] of NARROW) {
    it(`${left ? 'keep' : 'lose'} what is permitted on [${permitted}] and forbidden on [${forbidden}]`, () => {
      const heads = ['permit', 'forbid'].map(
        (effect, i) => `${effect} (principal, action == Action::"sql.select", resource ${[permitted, forbidden][i]})`,
      )
      assert.deepEqual(possible(heads), left ? ['sql.select'] : [])
    })
  }

  it('are everything but connect and unmask where everything is permitted', () => {
    const all = possible(['permit (principal, action, resource)'], alice)
    for (const action of ['sql.select', 'sql.grant', 'sql.do', 'http.put']) assert.ok(all.includes(action), action)
    for (const action of ['connect', 'unmask', 'read', 'write']) assert.ok(!all.includes(action), action)
  })

  it('are unmask for a person who acts for nobody', () => {
    const heads = ['permit (principal is User, action == Action::"unmask", resource in DataClass::"card")']
    assert.deepEqual(possible(heads, alice), ['unmask'])
    assert.deepEqual(possible(heads, { ...bot, onBehalfOf: alice }), [])
  })

  it('are what both the agent and the person it acts for could be permitted', () => {
    const heads = [
      'permit (principal is Agent, action in [Action::"sql.select", Action::"sql.insert"], resource)',
      'permit (principal is User, action in [Action::"sql.select", Action::"sql.delete"], resource)',
    ]
    assert.deepEqual(possible(heads, { ...bot, onBehalfOf: alice }), ['sql.select'])
  })

  it('are nothing on a target that nobody has registered', () => {
    assert.deepEqual(possible(['permit (principal, action, resource)'], bot, 'nowhere'), [])
  })

  it('are told apart for identities and targets of one policy set', () => {
    const policy = policyOf(
      '@id("a") permit (principal is Agent, action == Action::"sql.show", resource in Target::"orders");',
    )
    for (const [who, where, size] of [
      [bot, 'orders', 1],
      [alice, 'orders', 0],
      [bot, 'billing', 0],
      [bot, 'orders', 1],
    ] as const) {
      assert.equal(policy.possibleActions(who, target(where)).size, size)
    }
  })
})
