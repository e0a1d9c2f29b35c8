import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startCedar } from './cedar.ts'
import { bot, identity, operation, policyOf, target, targets, touch, withPolicyFiles } from './policy-scene.ts'
import { loadPolicies, startPolicyEngine } from './load-policies.ts'
import { schemaText } from './schema.ts'

const orders = target('orders')
const show = operation(touch('sql.show', orders))

/** A set that permits SHOW to the agent of one name only, so that a memory of decisions cannot help. */
function permitOnly(name: string): string {
  return `@id("r") permit (principal == Agent::"corp/${name}", action == Action::"sql.show", resource);`
}

describe('policy sets loaded one after the other', () => {
  it('never mix, however many live sessions use at a time and however few names there are', () => {
    const cedar = startCedar(schemaText(), 1)
    const names = Array.from({ length: 40 }, (_, index) => `bot-${index}`)
    const policies = names.map((name) => policyOf(permitOnly(name), cedar))
    for (const other of names) {
      const permitted = policies.map((policy) => policy.decide(identity('Agent', `corp/${other}`), show).verdict)
      assert.deepEqual(
        permitted,
        names.map((name) => (name === other ? 'allow' : 'deny')),
      )
    }
  })

  it('share one prepared set where their policies are the same', () => {
    const cedar = startPolicyEngine()
    const [one, two] = [policyOf(permitOnly('bot'), cedar), policyOf(permitOnly('bot'), cedar)]
    assert.equal(one.hash, two.hash)
    assert.deepEqual(one.decide(bot, show), two.decide(bot, show))
  })
})

describe('an engine', () => {
  const request = {
    principal: { type: 'Agent', id: 'corp/bot' },
    action: 'connect',
    resource: { type: 'Target', id: 'orders' },
    context: { delegated: false },
    entities: [],
  }
  const connect = 'permit (principal, action == Action::"connect", resource);'

  it('answers a slice that cannot be prepared with a failure, and goes on with others', () => {
    const cedar = startCedar(schemaText(), 2)
    const bad = { key: 'bad', policies: { bad: 'permit (' } }
    const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ key: name, policies: { [name]: connect } }))
    for (const slice of [a!, b!, bad, c!, b!, a!, c!, bad, bad, b!]) {
      const answer = cedar.ask(slice, request)
      const expected = { decision: 'allow', rules: [slice.key], errors: [] }
      if (slice === bad) assert.ok('failure' in answer)
      else assert.deepEqual(answer, expected)
    }
  })

  it('does not start with a schema that is not one', () => {
    assert.throws(() => startCedar('entity'), { name: 'Fault', code: 'policy' })
  })
})

describe('policies of other targets', () => {
  const set = Object.fromEntries(
    targets.map(({ name, labels }) => [
      `${name}.cedar`,
      `@id("${name}-all") permit (principal, action, resource in Target::"${name}");
       @id("${name}-no") forbid (principal, action == Action::"sql.set", resource == Target::"${name}");
       @id("${name}-label") forbid (principal, action == Action::"sql.do", resource in Label::"env=${labels.env}");
       @id("${name}-schema") forbid (principal, action == Action::"sql.drop", resource in Schema::"${name}/public");
       @id("${name}-table") forbid (principal, action == Action::"sql.alter", resource is Table in Table::"${name}/public.t");`,
    ]),
  )

  it('do not apply, and those of this one all do', () => {
    withPolicyFiles(set, (dir) => {
      const policy = loadPolicies(dir, { targets })
      for (const { name } of targets) {
        const rules = (action: string, resource = target(name)): readonly string[] =>
          policy.decide(bot, operation(touch(action, resource))).rules
        const table = (id: string) => touch('sql.drop', `${name}/${id}`).resource
        assert.deepEqual(rules('sql.show'), [`${name}-all`])
        assert.deepEqual(rules('sql.set'), [`${name}-no`])
        assert.deepEqual(rules('sql.do'), [`${name}-label`])
        assert.deepEqual(rules('sql.drop', table('public.x')), [`${name}-schema`])
        assert.deepEqual(rules('sql.alter', table('public.t')), [`${name}-table`])
        assert.deepEqual(rules('sql.alter', table('public.x')), [`${name}-all`])
      }
    })
  })
})
