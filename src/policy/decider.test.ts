import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Decision, Identity, Operation, Resource } from '../gateway/domain.ts'
import type { Policy } from './policy.ts'
import { bot, facts, identity, operation, policyOf, table, target, touch } from './policy-scene.ts'

const READ = '@id("read") permit (principal, action in Action::"read", resource in Target::"orders");'
const WRITE = '@id("write") permit (principal, action in Action::"write", resource in Target::"orders");'
const USERS = 'orders/public.users'

const select = operation(touch('sql.select', USERS))
const update = operation(touch('sql.update', USERS))

/** The verdict and the rules that led there. */
function outcome({ verdict, rules }: Decision): readonly [string, ...string[]] {
  return [verdict, ...rules]
}

function decided(text: string, asked: Operation, who: Identity = bot): readonly [string, ...string[]] {
  return outcome(policyOf(text).decide(who, asked))
}

function refusalOf(policy: Policy, asked: Operation, who: Identity = bot) {
  const decision = policy.decide(who, asked)
  assert.ok(decision.verdict === 'deny')
  return decision.refusal
}

describe('decide', () => {
  it('denies what no rule permits, and says who may not do what', () => {
    const drop = operation(touch('sql.drop', 'orders/public.customers'))
    const policy = policyOf('')
    assert.deepEqual(outcome(policy.decide(bot, drop)), ['deny'])
    const refusal = refusalOf(policy, drop)
    assert.equal(refusal.message, 'No rule permits sql.drop on Table orders/public.customers for Agent corp/bot.')
    assert.deepEqual([refusal.code, refusal.rule, refusal.remedy[0]?.do], ['denied', undefined, 'ask'])
  })

  it('names every satisfied permit, in the order of the files', () => {
    const again = '@id("again") permit (principal is Agent, action == Action::"sql.select", resource);'
    assert.deepEqual(decided(`${READ} ${WRITE} ${again}`, select), ['allow', 'read', 'again'])
  })

  it('lets a forbid win over every permit, and names every forbid', () => {
    const forbids =
      '@id("no-2") forbid (principal, action in Action::"read", resource); @id("no-1") forbid (principal is Agent, action in Action::"read", resource);'
    const policy = policyOf(`${READ} ${forbids}`)
    assert.deepEqual(outcome(policy.decide(bot, select)), ['deny', 'no-2', 'no-1'])
    assert.equal(refusalOf(policy, select).rule, 'no-2')
  })

  it('decides under the hash of its policies', () => {
    const policy = policyOf(READ)
    assert.equal(policy.decide(bot, select).policy, policy.hash)
    assert.equal(policy.decide(bot, update).policy, policy.hash)
  })

  it('matches the resource tree: table, schema, target, label', () => {
    for (const scope of [
      `== Table::"${USERS}"`,
      'in Schema::"orders/public"',
      'in Target::"orders"',
      'in Label::"env=prod"',
      'is Table in Label::"env=prod"',
    ]) {
      const policy = policyOf(`@id("r") permit (principal, action in Action::"read", resource ${scope});`)
      assert.deepEqual(outcome(policy.decide(bot, select)), ['allow', 'r'], scope)
      assert.deepEqual(
        outcome(policy.decide(bot, operation(touch('sql.select', 'billing/public.users')))),
        ['deny'],
        scope,
      )
    }
  })

  it('matches principals by id, kind and group', () => {
    for (const scope of ['== Agent::"corp/bot"', 'is Agent', 'in Group::"data-agents"']) {
      const text = `@id("r") permit (principal ${scope}, action in Action::"read", resource);`
      assert.deepEqual(decided(text, select), ['allow', 'r'], scope)
      assert.deepEqual(decided(text, select, identity('User', 'corp/bot', ['dba'])), ['deny'], scope)
    }
  })

  it('gives conditions the facts of the touch and of the session', () => {
    const on = (condition: string, asked: Operation): string =>
      decided(`@id("r") permit (principal, action in Action::"session", resource) when { ${condition} };`, asked)[0]
    const args = { '/name': 'timezone' }
    const functions = { functions: ['now', 'random'], volatile_functions: ['random'] }
    const own = { has_where: false, ...functions, predicates: ['range'] }
    const set = operation(touch('sql.set', target('orders'), { args, own, unbounded: true }))
    for (const condition of [
      'context.unbounded',
      '!context.in_transaction',
      '!context.delegated',
      '!context.has_where',
      'context.functions.contains("now")',
      'context.volatile_functions == ["random"]',
      'context.predicates == ["range"]',
      'context.args.hasTag("/name") && context.args.getTag("/name") == "timezone"',
    ]) {
      assert.equal(on(condition, set), 'allow', condition)
      assert.equal(on(`!(${condition})`, set), 'deny', condition)
    }
    assert.equal(on('context.in_transaction', { ...set, inTransaction: true }), 'allow')
  })

  it('keeps identity strings data', () => {
    const text = '@id("r") permit (principal == User::"corp/alice", action in Action::"read", resource);'
    for (const name of ['alice"', 'alice\\', 'alice\u0000', 'Alice', 'alice" || true']) {
      assert.deepEqual(decided(text, select, identity('User', `corp/${name}`)), ['deny'], name)
    }
    assert.deepEqual(decided(text, select, identity('User', 'corp/alice')), ['allow', 'r'])
  })
})

describe('the strictest verdict of an operation', () => {
  const hold =
    '@id("held") @hold("group:dba") permit (principal, action in Action::"write", resource in Target::"orders");'

  it('is allow only when every touch is permitted', () => {
    assert.deepEqual(decided(READ, operation(touch('sql.select', USERS), touch('sql.update', USERS))), ['deny'])
    assert.deepEqual(decided(READ + WRITE, operation(touch('sql.select', USERS), touch('sql.update', USERS))), [
      'allow',
      'read',
      'write',
    ])
  })

  it('is hold when one touch is held, and deny when one is denied', () => {
    const both = [touch('sql.select', USERS), touch('sql.update', USERS)] as const
    assert.deepEqual(decided(READ + hold, operation(...both)), ['hold', 'held'])
    assert.deepEqual(decided(READ + hold, operation(...both, touch('sql.drop', USERS))), ['deny'])
  })

  it('says the forbid first, even when an earlier touch only lacks a permit', () => {
    const no = '@id("no") forbid (principal, action in Action::"write", resource);'
    assert.deepEqual(decided(no, operation(touch('sql.drop', USERS), touch('sql.update', USERS))), ['deny', 'no'])
  })

  it('is hold when a wide permit holds and a narrow one does not', () => {
    assert.deepEqual(decided(WRITE + hold, update), ['hold', 'held'])
  })

  it('takes the strictest terms of every satisfied hold, also over several touches', () => {
    const holds = [
      '@id("a") @hold("group:dba") @quorum("2") @wait("10m") @ticket("1h")',
      '@id("b") @hold("group:owners") @wait("5s") @preview("rows")',
      '@id("c") @hold("group:dba") @quorum("3") @ticket("5m") @preview("rows")',
    ].map((notes) => `${notes} permit (principal, action in Action::"write", resource);`)
    assert.deepEqual(policyOf(holds.join('\n')).decide(bot, update), {
      verdict: 'hold',
      rules: ['a', 'b', 'c'],
      policy: policyOf(holds.join('\n')).hash,
      groups: ['dba', 'owners'],
      quorum: 3,
      waitMs: 5_000,
      ticketMs: 300_000,
      previews: ['rows'],
    })
  })

  it('waits 45 s, gives tickets for 15 min and asks one approver unless the rule says otherwise', () => {
    const decision = policyOf(hold).decide(bot, update)
    assert.ok(decision.verdict === 'hold')
    const { groups, quorum, waitMs, ticketMs, previews } = decision
    assert.deepEqual(
      { groups, quorum, waitMs, ticketMs, previews },
      {
        groups: ['dba'],
        quorum: 1,
        waitMs: 45_000,
        ticketMs: 900_000,
        previews: [],
      },
    )
  })
})

describe('a refusal by a rule', () => {
  const words = (text: string, asked: Operation) => {
    const { message, rule, remedy } = refusalOf(policyOf(READ + WRITE + text), asked)
    return { message, rule, remedy }
  }

  it('names action, resource, extent and rule, and the remedy of the rule', () => {
    const text =
      '@id("no-unbounded-writes") @remedy("Add a WHERE clause.") forbid (principal, action in Action::"write", resource) when { context.unbounded };'
    const own = { has_where: false, functions: [], volatile_functions: [], predicates: [] }
    assert.deepEqual(words(text, operation(touch('sql.delete', USERS, { unbounded: true, own }))), {
      message: 'DELETE on orders/public.users without WHERE is not allowed (rule no-unbounded-writes).',
      rule: 'no-unbounded-writes',
      remedy: [{ do: 'change', hint: 'Add a WHERE clause.' }],
    })
    const all = words(text, operation(touch('sql.update', USERS, { unbounded: true })))
    assert.match(
      all.message,
      /^UPDATE on orders\/public\.users with a WHERE that does not limit the rows is not allowed/,
    )
  })

  it("uses the rule's own message, still naming the rule", () => {
    const text =
      '@id("no") @message("Schema changes go through migrations.") forbid (principal, action in Action::"schema", resource);'
    const { message, remedy } = words(text, operation(touch('sql.alter', USERS)))
    assert.equal(message, 'Schema changes go through migrations (rule no).')
    assert.equal(remedy[0]?.do, 'ask')
  })

  it('names the setting, cut to the length of a name', () => {
    const text = '@id("no") forbid (principal, action == Action::"sql.set", resource);'
    const set = (name: string) => operation(touch('sql.set', target('orders'), { args: { '/name': name } }))
    assert.equal(words(text, set('work_mem')).message, 'SET work_mem on orders is not allowed (rule no).')
    assert.equal(
      words(text, set('x'.repeat(5_000))).message.length,
      `SET  on orders is not allowed (rule no).`.length + 63,
    )
  })

  it('says SET ROLE for sql.set_role', () => {
    const text = '@id("no") forbid (principal, action in Action::"privilege", resource);'
    assert.match(words(text, operation(touch('sql.set_role', target('orders')))).message, /^SET ROLE on orders is/)
  })
})

describe('what cannot be decided is denied', () => {
  const overflow = 'context.args.hasTag("/n") && 9223372036854775807 + 1 > 0'
  const n = { args: { '/n': '1' } }

  it('denies when the condition of a forbid breaks, which Cedar would skip', () => {
    const forbid = `@id("no") forbid (principal, action in Action::"read", resource) when { ${overflow} };`
    assert.deepEqual(decided(READ + forbid, select), ['allow', 'read'])
    const policy = policyOf(READ + forbid)
    assert.deepEqual(outcome(policy.decide(bot, operation(touch('sql.select', USERS, n)))), ['deny', 'no'])
    const refusal = refusalOf(policy, operation(touch('sql.select', USERS, n)))
    assert.equal(refusal.rule, 'no')
    assert.match(refusal.message, /policies could not be evaluated \(rule no: its condition failed\)/)
  })

  it('denies when the condition of a permit breaks beside a permit that is satisfied', () => {
    const permit = `@id("broken") permit (principal, action in Action::"read", resource) when { ${overflow} };`
    assert.deepEqual(decided(READ + permit, operation(touch('sql.select', USERS, n))), ['deny', 'broken'])
  })

  const everything = '@id("all") permit (principal, action, resource);'

  it('denies *.unknown, whatever the rules permit', () => {
    const refusal = refusalOf(policyOf(everything), operation(touch('sql.unknown', target('orders'))))
    assert.equal(refusal.message, 'UNKNOWN on orders is not understood, and no rule can allow that.')
  })

  it('denies an action, a fact or a resource that the schema does not have', () => {
    const own = { has_where: true, functions: [], volatile_functions: [], predicates: [] }
    for (const strange of [
      touch('sql.selekt', USERS),
      touch('unmask', USERS),
      touch('connect', target('orders')),
      touch('read', USERS),
      touch('sql.select', USERS, { own: {} }),
      touch('sql.select', USERS, { own: { ...own, more: true } }),
      touch('sql.select', USERS, { own: { ...own, has_where: 'yes' } }),
      touch('sql.select', USERS, { own: { ...own, has_where: 1.5 } }),
      touch('sql.select', { type: 'Tool', id: 'orders/x', parent: target('orders') }),
      touch('sql.select', { type: 'Table', id: 'orders/x', parent: target('orders') }),
    ]) {
      assert.deepEqual(decided(everything, operation(strange)), ['deny'], JSON.stringify(strange))
    }
  })

  it('denies what belongs to no registered target, or to two', () => {
    for (const resource of [
      table('payroll/public.users'),
      { type: 'Table', id: USERS },
      { type: 'Table', id: USERS, parent: target('orders') },
      { type: 'Schema', id: 'orders/public', parent: target('billing') },
      { type: 'Table', id: USERS, parent: { type: 'Schema', id: 'billing/public', parent: target('billing') } },
      { type: 'Target', id: '' },
      { type: 'Target', id: '__proto__' },
      { type: 'Target', id: 'orders', parent: target('orders') },
    ]) {
      assert.deepEqual(decided(everything, operation(touch('sql.select', resource))), ['deny'], resource.id)
    }
  })

  it('denies text that Cedar cannot be given, and goes on deciding', () => {
    const policy = policyOf(everything)
    assert.deepEqual(outcome(policy.decide(identity('Agent', 'corp/\ud800'), select)), ['deny'])
    assert.deepEqual(
      outcome(policy.decide(bot, operation(touch('sql.set', target('orders'), { args: { '/value': '\udfff' } })))),
      ['deny'],
    )
    assert.deepEqual(outcome(policy.decide(bot, select)), ['allow', 'all'])
  })

  it('denies an operation without touches', () => {
    const nothing = { ...select, touches: [] as unknown as Operation['touches'] }
    assert.deepEqual(decided(everything, nothing), ['deny'])
  })

  it('treats names like __proto__ as any other', () => {
    const text =
      '@id("__proto__") forbid (principal in Group::"__proto__", action in Action::"read", resource) when { context.args.hasTag("__proto__") };'
    const args = JSON.parse('{"__proto__": "x"}') as Record<string, string>
    const asked = operation(touch('sql.select', USERS, { args }))
    assert.deepEqual(decided(READ + text, asked, identity('Agent', 'corp/bot', ['__proto__'])), ['deny', '__proto__'])
    assert.deepEqual(decided(READ + text, select, identity('Agent', 'corp/bot', ['__proto__'])), ['allow', 'read'])
  })
})

describe('a delegated identity', () => {
  const alice = identity('User', 'corp/alice', ['staff'])
  const forAlice = { ...bot, onBehalfOf: alice }
  const agents = '@id("agents") permit (principal in Group::"data-agents", action in Action::"read", resource);'
  const staff = '@id("staff") permit (principal in Group::"staff", action in Action::"read", resource);'

  it('may do only what both it and the person may', () => {
    assert.deepEqual(decided(agents + staff, select, forAlice), ['allow', 'agents', 'staff'])
    assert.deepEqual(decided(agents, select, forAlice), ['deny'])
    assert.deepEqual(decided(staff, select, forAlice), ['deny'])
    assert.match(refusalOf(policyOf(agents), select, forAlice).message, /for User corp\/alice\.$/)
  })

  it('meets the forbids and the holds of both', () => {
    const no = '@id("no") forbid (principal == User::"corp/alice", action in Action::"read", resource);'
    assert.deepEqual(decided(agents + staff + no, select, forAlice), ['deny', 'no'])
    const held = '@id("held") @hold("group:dba") permit (principal is User, action in Action::"read", resource);'
    assert.deepEqual(decided(agents + held, select, forAlice), ['hold', 'held'])
    assert.deepEqual(decided(agents + held, select, bot), ['allow', 'agents'])
  })

  it('has context.delegated in both requests', () => {
    const text = '@id("d") permit (principal, action in Action::"read", resource) when { context.delegated };'
    assert.deepEqual(decided(text, select, forAlice), ['allow', 'd'])
    assert.deepEqual(decided(text, select, bot), ['deny'])
  })

  it('asks everybody in a longer chain', () => {
    const chain = { ...bot, onBehalfOf: { ...bot, subject: 'planner', onBehalfOf: alice } }
    const no = '@id("no") forbid (principal == User::"corp/alice", action in Action::"read", resource);'
    assert.deepEqual(decided(READ, select, chain), ['allow', 'read'])
    assert.deepEqual(decided(READ + no, select, chain), ['deny', 'no'])
  })
})

describe('a path of an HTTP target', () => {
  const path = (id: string, parent: Resource): Resource => ({ type: 'Path', id, parent })
  const v1 = path('billing/v1', target('billing'))
  const rules = (resource: Resource, action = 'http.get') => {
    const policy = policyOf(`
      @id("v1") permit (principal, action in Action::"read", resource in Path::"billing/v1");
      @id("no") forbid (principal, action, resource in Path::"billing/v1/keys");`)
    return outcome(policy.decide(bot, operation({ action, resource, facts: { unbounded: false, args: {}, own: {} } })))
  }

  it('is permitted and forbidden with everything below it', () => {
    assert.deepEqual(rules(v1), ['allow', 'v1'])
    assert.deepEqual(rules(path('billing/v1/a', v1)), ['allow', 'v1'])
    assert.deepEqual(rules(path('billing/v1/keys/7', path('billing/v1/keys', v1))), ['deny', 'no'])
    assert.deepEqual(rules(path('billing/v2', target('billing'))), ['deny'])
    assert.deepEqual(rules(target('billing')), ['deny'])
    assert.deepEqual(rules(v1, 'http.post'), ['deny'])
  })

  it('belongs to no target when its name does not begin with that of what is above it', () => {
    assert.deepEqual(rules(path('orders/v1', target('billing'))), ['deny'])
    assert.deepEqual(rules(path('billing/v1x/a', v1)), ['deny'])
  })
})

describe('the memory of decisions', () => {
  it('tells apart everything that enters a request', () => {
    const text = `
      @id("odd") forbid (principal, action in [Action::"read", Action::"write"], resource)
        when { context.delegated || principal in Group::"bad" || resource in Schema::"orders/private" };
      @id("why") forbid (principal, action in [Action::"read", Action::"write"], resource is Table)
        when { context.unbounded || context.in_transaction || !context.has_where || context.args.hasTag("/x") };
      @id("all") permit (principal is Agent, action, resource);`
    const policy = policyOf(text)
    const changes: readonly (readonly [Identity, Operation])[] = [
      [identity('User', 'corp/bot'), select],
      [{ ...bot, groups: ['bad'] }, select],
      [{ ...bot, onBehalfOf: bot }, select],
      [bot, { ...select, inTransaction: true }],
      [bot, operation(touch('sql.select', 'orders/private.users'))],
      [bot, operation(touch('sql.select', USERS, { unbounded: true }))],
      [bot, operation(touch('sql.select', USERS, { args: { '/x': '' } }))],
      [bot, operation(touch('sql.select', USERS, { own: { ...facts().own, has_where: false } }))],
    ]
    for (const [who, asked] of changes) {
      assert.deepEqual(outcome(policy.decide(bot, select)), ['allow', 'all'])
      assert.equal(policy.decide(who, asked).verdict, 'deny', JSON.stringify([who, asked.touches]))
    }
  })
})
