import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { createMasker } from '../mask/mask.ts'
import { systemClock } from './clock.ts'
import type { Operation, Refusal } from './domain.ts'
import type { Exchange, Input, Outcome, Part } from './exchange.ts'
import { Fault } from './fault.ts'
import type { Core } from './gateway.ts'
import type { Permit } from './permit.ts'
import { refuse } from './refusals.ts'
import { Session, type Opening } from './session.ts'
import type { Source } from './source.ts'

type Appended = {
  readonly type: string
  readonly operation?: string
  readonly size?: number
  readonly outcome?: Outcome
}

function openSession(append: (entry: Appended, how: string) => Promise<unknown> = async () => ({ seq: 1 })): Session {
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

describe('a session that is stopped before it runs', () => {
  it('runs to its end, though something to do came before', { timeout: 10_000 }, async () => {
    await using session = openSession()
    const exchange = { send: () => undefined, answer: () => ({ next: () => undefined }) } as unknown as Exchange
    const exchanges = [exchange]
    session.stop(refuse('unavailable', 'The target closed the connection.'))
    await session.run({ next: () => exchanges.shift() })
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

describe('a session that is stopped with more sent than its answers can queue', () => {
  it('records how each of them ended', async () => {
    const outcomes: unknown[] = []
    await using session = openSession(async ({ type, operation, outcome }) => {
      if (type === 'answer') outcomes.push([operation, outcome?.status])
      return { seq: 1 }
    })
    let sent = 0
    const exchange = (): Exchange => ({
      ...UNUSED,
      send: () => void sent++,
      answer: () => endingWith(session.stopped),
    })
    const running = session.run({ next: () => exchange() })
    await new Promise(setImmediate)
    session.stop(refuse('killed', 'Stopped.'))
    await running
    await session[Symbol.asyncDispose]()
    assert.ok(sent > 256)
    assert.equal(outcomes.length, sent)
  })
})

describe('an answer for which the log has no room', () => {
  it('ends the session, gets to nobody, and how its operation and those behind it ended is recorded all the same', async () => {
    const recorded: unknown[] = []
    await using session = openSession(async ({ type, size, outcome }) => {
      if (type === 'answer' && size !== 0) throw new Fault('unrecordable', 'no room')
      if (type === 'answer') recorded.push(outcome)
      return { seq: 1 }
    })
    const done: Part = { mask: () => Buffer.from('row'), bookkeeping: false, outcome: { status: 'done', rows: 1 } }
    const parts = [done]
    const answers = [{ next: () => parts.shift() }, endingWith(session.stopped)]
    const exchange = (answer: Source<Part>): Exchange => ({
      ...UNUSED,
      send: () => undefined,
      reply: ({ bytes }) => assert.equal(bytes.length, 0),
      answer: () => answer,
    })
    const exchanges = answers.map(exchange)
    await session.run({ next: () => exchanges.shift() })
    await session[Symbol.asyncDispose]()
    assert.equal((session.stopped.reason as Refusal).code, 'unrecordable')
    assert.deepEqual(recorded, [{ status: 'done', rows: 1 }, { status: 'unknown' }])
  })
})

describe('an operation that waits between its decision and its record', () => {
  const waiting = async (meanwhile: (policy: { hash: string }) => void): Promise<readonly string[]> => {
    const trail: string[] = []
    await using session = openSession(async (entry) => {
      if (entry.type === 'operation') trail.push((entry as unknown as { decision: string }).decision)
      return { seq: 1 }
    })
    const policy = { hash: 'one', decide: () => ({ verdict: 'allow', rules: [], policy: 'one' }), undecided: () => [] }
    Object.assign(session.core, { policy: () => policy })
    const operation = {
      id: 'op_1',
      stage: 'execute',
      effect: 'none',
      touches: [{ action: 'sql.select', resource: {} }],
    }
    const exchange = {
      ...UNUSED,
      operation: operation as unknown as Operation,
      ready: async () => meanwhile(policy),
      send: () => void trail.push('sent'),
      refuse: async ({ code }: Refusal) => void trail.push(code),
      answer: () => ({ next: () => undefined }),
    } as unknown as Exchange
    const exchanges = [exchange]
    await session.run({ next: () => exchanges.shift() })
    return trail
  }

  it('is sent when nothing was changed meanwhile', async () => {
    assert.deepEqual(await waiting(() => undefined), ['allow', 'sent'])
  })

  it('is refused when other policies came into force meanwhile', async () => {
    assert.deepEqual(await waiting((policy) => void (policy.hash = 'two')), ['deny', 'unavailable'])
  })
})

const UNUSED = {
  pause: async () => 'idle' as const,
  preview: () => assert.fail('nothing is held'),
  measure: () => assert.fail('nothing is measured'),
  notify: () => undefined,
  fail: () => undefined,
  reply: () => undefined,
  refuse: async () => undefined,
}

/** One part, once the session has ended: nobody knows whether it was done. */
function endingWith(stopped: AbortSignal): Source<Part> {
  const part: Part = { mask: () => Buffer.alloc(0), bookkeeping: false, outcome: { status: 'unknown' } }
  const parts = [part]
  return {
    next: async () => {
      if (!stopped.aborted) await once(stopped, 'abort')
      return parts.shift()
    },
  }
}
