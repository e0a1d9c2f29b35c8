import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMasker } from '../mask/mask.ts'
import { systemClock } from './clock.ts'
import type { Operation, Refusal } from './domain.ts'
import type { Exchange, Input } from './exchange.ts'
import { Fault } from './fault.ts'
import type { Core } from './gateway.ts'
import type { Permit } from './permit.ts'
import { Session, type Opening } from './session.ts'
import type { Source } from './source.ts'

function openSession(append: (...args: never) => Promise<unknown> = async () => ({ seq: 1 })): Session {
  const core = {
    clock: systemClock,
    recorder: { append, checkpoint: async () => undefined },
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

describe('input of an operation', () => {
  const feeding = (send: Input['send'], effect: Operation['effect'] = 'final'): Input => ({
    feeds: { id: 'op_1', effect } as Pick<Operation, 'id' | 'effect'> as Operation,
    bytes: Buffer.from('row'),
    last: true,
    send,
  })
  const one = (input: Input): Source<Input> => {
    const inputs = [input]
    return { next: () => inputs.shift() }
  }

  it('is stored before it is sent, and on disk when it takes effect with it', async () => {
    for (const [effect, durability] of [
      ['final', 'synced'],
      ['revocable', 'written'],
    ] as const) {
      const trail: unknown[] = []
      const append = async ({ type }: { readonly type: string }, how: string): Promise<unknown> => {
        if (type !== 'input') return { seq: 8 }
        await new Promise(setImmediate)
        trail.push(how)
        return { seq: 7 }
      }
      await using session = openSession(append)
      await session.run(one(feeding(({ record }) => void trail.push(record), effect)))
      assert.deepEqual(trail, [durability, 7])
    }
  })

  it('that cannot be stored is not sent, and ends the session', async () => {
    let refuses = true
    await using session = openSession(async () => {
      if (refuses) throw new Fault('unrecordable', 'no room')
      return { seq: 1 }
    })
    await session.run(one(feeding(() => assert.fail('it was sent'))))
    refuses = false
    assert.equal((session.stopped.reason as Refusal).code, 'unrecordable')
  })
})
