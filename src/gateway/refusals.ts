import type { Refusal, RefusalCode, Remedy } from './domain.ts'

const RETRY: Record<RefusalCode, Refusal['retry']> = {
  denied: 'after-change',
  approval_required: 'after-approval',
  approval_rejected: 'never',
  approval_expired: 'after-approval',
  frozen: 'later',
  budget: 'later',
  loop: 'after-change',
  unreadable: 'after-change',
  too_large: 'after-change',
  unrecordable: 'later',
  identity: 'after-change',
  grant: 'after-change',
  killed: 'never',
  cancelled: 'after-change',
  unavailable: 'later',
}

/** A refusal with the retry advice of its code; `more` overrides. */
export function refuse(
  code: RefusalCode,
  message: string,
  remedy: readonly Remedy[] = [],
  more: Partial<Refusal> = {},
): Refusal {
  return { v: 1, code, message, retry: RETRY[code], remedy, ...more }
}

/** The refusal for everything that happens while the log cannot be written. */
export function unrecordable(): Refusal {
  return refuse('unrecordable', 'The gateway cannot record this operation, so it does not happen.', [
    { do: 'wait', hint: 'Try again later; an operator must make room for the log.' },
  ])
}

/** The refusal for everything that comes when a session's time is over. */
export function grantEnded(): Refusal {
  return refuse('grant', 'The grant of this session has ended.', [
    { do: 'change', hint: 'Connect again, with a fresh token if this one has expired.' },
  ])
}
