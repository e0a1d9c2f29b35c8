import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMasker } from '../mask/mask.ts'
import { systemClock } from './clock.ts'
import type { Refusal } from './domain.ts'
import type { Exchange } from './exchange.ts'
import { Fault } from './fault.ts'
import type { Core } from './gateway.ts'
import type { Permit } from './permit.ts'
import { Session, type Opening } from './session.ts'
import type { Source } from './source.ts'

function openSession(): Session {
  const core = {
    clock: systemClock,
    recorder: { append: async () => ({ seq: 1 }), checkpoint: async () => undefined },
    grants: { end: async () => undefined },
    live: new Map(),
  } as unknown as Core
  const opening = {
    id: 'ses_1',
    identity: { provider: 'local', subject: 'bot' },
    target: 'orders',
    grant: 'grt_1',
    expiresAt: Date.now() + 60_000,
    lease: { name: 'sp_1', revoke: async () => ({ verified: true }) },
    hidden: [],
    masker: createMasker({ hidden: [], detect: [] }),
  } as unknown as Opening
  return new Session(core, opening, { record: 1 } as Permit)
}

function failing(error: Error): Source<Exchange> {
  return {
    next: async () => {
      throw error
    },
  }
}

describe('a session whose protocol fails', () => {
  it('ends, and shows a defect of ours to whoever runs the gateway', async () => {
    await using session = openSession()
    await assert.rejects(session.run(failing(new TypeError('a defect'))), TypeError)
    assert.equal((session.stopped.reason as Refusal).code, 'unavailable')
  })

  it('ends with the reason of a fault, which is no defect', async () => {
    await using session = openSession()
    await session.run(failing(new Fault('protocol', 'a Bind without an end')))
    assert.equal((session.stopped.reason as Refusal).code, 'unreadable')
  })
})
