import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkPolicies } from './load-policies.ts'
import { withPolicyFiles } from './policy-scene.ts'
import { concerns } from './slices.ts'

const orders = { name: 'orders', labels: { env: 'prod' } }

/** Whether a forbid with this resource scope is kept for the target `orders`. */
function kept(scope: string, action: string): boolean {
  const text = `@id("r") forbid (principal, action == Action::"${action}", resource ${scope});`
  return withPolicyFiles({ 'a.cedar': text }, (dir) => {
    const { rules, errors } = checkPolicies(dir)
    assert.deepEqual(errors, [])
    return concerns(rules[0]!, orders)
  })
}

describe('concerns', () => {
  it('keeps what can be of the target', () => {
    const scopes = ['', 'is Table', '== Table::"orders/a.b"', 'in Schema::"orders/a"', 'is Table in Target::"orders"']
    for (const scope of [...scopes, 'in Label::"env=prod"']) assert.ok(kept(scope, 'sql.select'), scope)
    for (const id of ['card', 'orders/card']) assert.ok(kept(`in DataClass::"${id}"`, 'unmask'), id)
  })

  it('leaves out what is of another, also of one whose name begins alike', () => {
    const scopes = ['== Table::"orders-2/a.b"', 'in Schema::"billing/a"', 'is Table in Target::"billing"']
    for (const scope of [...scopes, 'in Label::"env=test"']) assert.equal(kept(scope, 'sql.select'), false, scope)
    assert.equal(kept('== DataClass::"orders-2/card"', 'unmask'), false)
  })
})
