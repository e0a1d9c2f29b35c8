import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bob, identity } from '../approvals/fixtures.ts'
import { ACCESS, isOverseer, mayCall, maySeeSessions, type Route } from './access.ts'

const admin = { operators: ['platform'], auditors: ['security'] }
const routes = Object.keys(ACCESS) as Route[]

describe('access to the API', () => {
  it('gives a role only to people in their own name, whatever the groups', () => {
    const groups = ['platform', 'security']
    assert.equal(isOverseer(identity({ groups }), admin), true)
    for (const who of [identity({ kind: 'Agent', groups }), identity({ kind: 'Workload', groups })]) {
      assert.equal(isOverseer(who, admin), false)
    }
    assert.equal(isOverseer(identity({ groups, onBehalfOf: bob }), admin), false)
    assert.equal(isOverseer(identity({ groups }), { operators: [], auditors: [] }), false)
  })

  it('lets agents and workloads call only what is about themselves', () => {
    for (const kind of ['Agent', 'Workload'] as const) {
      const allowed = routes.filter((route) => mayCall(route, identity({ kind })))
      const own = ['request', 'list', 'get', 'end', 'hold'].map((what) => `grants.${what}`)
      assert.deepEqual(allowed, ['whoami', 'approvals.list', 'approvals.get', ...own])
    }
  })

  it('shows the sessions of nobody else to whoever oversees nothing', () => {
    const zoe = identity({ subject: 'zoe' })
    assert.equal(maySeeSessions(zoe, 'corp/zoe', admin), true)
    assert.equal(maySeeSessions(zoe, 'corp/ann', admin), false)
    assert.equal(maySeeSessions(zoe, undefined, admin), false)
  })
})
