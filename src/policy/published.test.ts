import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkPolicies, loadPolicies } from './load-policies.ts'
import { bot, engine, identity, operation, target, targets, touch, withPolicyFiles } from './policy-scene.ts'
import { contextFacts, schemaText } from './schema.ts'

const reference = readFileSync(new URL('../../docs/reference/policy.md', import.meta.url), 'utf8')
const examples = fileURLToPath(new URL('../../examples/policies', import.meta.url))

describe('the policy reference', () => {
  const blocks = [...reference.matchAll(/```cedar\n([^]*?)```/g)].map(([, block]) => block!)

  it('has only examples that load, together too', () => {
    assert.ok(blocks.length >= 5)
    const files = Object.fromEntries(blocks.map((block, index) => [`${index}.cedar`, block]))
    withPolicyFiles(files, (dir) => {
      const { errors, warnings, rules } = checkPolicies(dir)
      assert.deepEqual([...errors, ...warnings], [])
      assert.ok(rules.length >= blocks.length)
    })
  })

  it('names every action and every fact of the schema', () => {
    const actions = [...schemaText().matchAll(/^action (.+?)(?: in |;|$)/gm)].flatMap(([, names]) =>
      [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!),
    )
    assert.ok(actions.length > 20)
    const facts = [...contextFacts(schemaText())].map((fact) => `context.${fact}`)
    assert.deepEqual(
      [...actions, ...facts].filter((name) => !reference.includes(`\`${name}\``)),
      [],
    )
  })

  it('says truly that an exception on the wide rule lifts its hold', () => {
    withPolicyFiles({ 'a.cedar': blocks.at(-1)! }, (dir) => {
      const policy = loadPolicies(dir, { targets, cedar: engine })
      const rules = (table: string) => policy.decide(bot, operation(touch('sql.insert', table))).rules
      assert.deepEqual(rules('orders/public.users'), ['writes-need-a-dba'])
      assert.deepEqual(rules('orders/scratch.users'), ['scratch-is-free'])
    })
  })
})

describe('the policies to start from', () => {
  const policy = loadPolicies(examples, { targets, cedar: engine })
  const users = 'orders/public.users'
  const decided = (...touches: Parameters<typeof operation>): readonly string[] => {
    const { verdict, rules } = policy.decide(bot, operation(...touches))
    return [verdict, ...rules]
  }
  const set = (name: string) => touch('sql.set', target('orders'), { args: { '/name': name, '/value': 'x' } })

  it('let agents of the group connect for 15 minutes and read', () => {
    const connected = policy.connect(bot, target('orders'))
    assert.deepEqual(connected, { verdict: 'allow', rules: ['agents-connect'], policy: policy.hash, leaseMs: 900_000 })
    assert.equal(policy.connect({ ...bot, groups: [] }, target('orders')).verdict, 'deny')
    assert.equal(policy.connect(bot, target('billing')).verdict, 'deny')
    assert.deepEqual(decided(touch('sql.select', users)), ['allow', 'agents-read-orders'])
    assert.deepEqual(decided(touch('sql.transaction', target('orders'))), ['allow', 'agents-read-orders'])
  })

  it('hold writes for the group dba, with a preview of the rows', () => {
    const decision = policy.decide(bot, operation(touch('sql.update', users)))
    assert.ok(decision.verdict === 'hold')
    assert.deepEqual([decision.rules, decision.groups, decision.previews], [['writes-need-a-dba'], ['dba'], ['rows']])
  })

  it('forbid unbounded writes, with a remedy', () => {
    const own = { has_where: false, functions: [], volatile_functions: [], predicates: [] }
    const decision = policy.decide(bot, operation(touch('sql.delete', users, { unbounded: true, own })))
    assert.ok(decision.verdict === 'deny')
    const { message, rule, remedy } = decision.refusal
    assert.equal(message, 'DELETE on orders/public.users without WHERE is not allowed (rule no-unbounded-writes).')
    assert.equal(rule, 'no-unbounded-writes')
    assert.deepEqual(remedy, [{ do: 'change', hint: 'Add a WHERE clause that names the rows.' }])
  })

  it('allow harmless settings only', () => {
    assert.deepEqual(decided(set('timezone')), ['allow', 'agents-read-orders'])
    assert.deepEqual(decided(set('work_mem')), ['deny', 'harmless-settings-only'])
    assert.deepEqual(decided(touch('sql.set', target('orders'))), ['deny', 'harmless-settings-only'])
  })

  it('keep agents from schema changes and from privileges', () => {
    assert.deepEqual(decided(touch('sql.drop', users)), ['deny', 'no-schema-changes'])
    assert.deepEqual(decided(touch('sql.set_role', target('orders'))), ['deny', 'no-schema-changes'])
  })

  it('show cards in clear to people of the fraud team only', () => {
    const classes = ['pii', 'card']
    assert.deepEqual(policy.unmasked(identity('User', 'corp/eve', ['fraud']), target('orders'), classes), ['card'])
    assert.deepEqual(policy.unmasked(identity('User', 'corp/bob'), target('orders'), classes), [])
    assert.deepEqual(policy.unmasked(identity('Agent', 'corp/eve', ['fraud']), target('orders'), classes), [])
  })
})
