import { systemClock, type Clock } from '../gateway/clock.ts'
import type { Hold, Identity } from '../gateway/domain.ts'
import type { ApprovalRequest } from './approvals.ts'

/** Identities and requests for tests of what concerns approvals. */
export function identity(more: Partial<Identity> = {}): Identity {
  return { kind: 'User', provider: 'corp', subject: 'u', groups: [], expiresAt: 9e15, ...more }
}

export const ann = identity({ subject: 'ann', person: 'ann@example.com', groups: ['dba'] })
export const bob = identity({ subject: 'bob', person: 'bob@example.com', groups: ['dba', 'security'] })
export const eve = identity({ subject: 'eve', person: 'eve@example.com', groups: ['sales'] })
export const agent = identity({
  kind: 'Agent',
  subject: 'bot',
  groups: ['dba'],
  onBehalfOf: identity({ subject: 'ann', person: 'ann@example.com', groups: ['dba'] }),
})

export function hold(more: Partial<Hold> = {}): Hold {
  return {
    verdict: 'hold',
    rules: ['writes-need-a-dba'],
    policy: 'p',
    groups: ['dba'],
    quorum: 1,
    waitMs: 45_000,
    ticketMs: 900_000,
    previews: ['rows'],
    ...more,
  }
}

export function request(more: Partial<ApprovalRequest> = {}): ApprovalRequest {
  return {
    operation: 'op_1',
    session: 'ses_1',
    target: 'orders',
    requester: agent,
    client: '127.0.0.1:5000',
    text: 'update customers set city = $1 where id = 1',
    parameters: ['Paris', null],
    digest: 'd1',
    touches: ['sql.update on Table orders/public.customers'],
    hold: hold(),
    preview: { rowsEstimate: 1 },
    ...more,
  }
}

/** A wall clock that stands still until it is set; sleeping is as in the real one. */
export function settableClock(start: number): Clock & { set(now: number): void } {
  let now = start
  return {
    ...systemClock,
    now: () => now,
    set: (to) => {
      now = to
    },
  }
}
