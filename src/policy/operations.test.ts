import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { operationsNamed } from './operations.ts'

describe('names of operations', () => {
  it('are actions and groups of actions of the schema', () => {
    const { actions, unknown } = operationsNamed(['sql.update', 'read'])
    assert.deepEqual(unknown, [])
    assert.deepEqual([...actions].sort(), ['http.get', 'sql.lo_read', 'sql.select', 'sql.update'])
  })

  it('are unknown when the schema has none of that name, or it is no operation', () => {
    for (const name of ['sql.selects', 'sql', 'SQL.SELECT', '', 'connect', 'unmask', '__proto__'])
      assert.deepEqual(operationsNamed(['read', name]).unknown, [name])
  })
})
