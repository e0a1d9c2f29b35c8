import type { Refusal, RefusalCode } from '../../gateway/domain.ts'
import { encodeErrorResponse, encodeNoticeResponse } from './encode.ts'

/**
 * What each refusal is in PostgreSQL's own words (docs/reference/refusals.md). Never a code that drivers retry or that
 * empties a pool: 40001, 40P01, 08xxx, 53xxx, 57P0x.
 */
export const SQLSTATE: Record<RefusalCode, string> = {
  denied: '42501',
  approval_required: 'SP001',
  approval_rejected: '42501',
  approval_expired: 'SP001',
  frozen: 'SP002',
  loop: 'SP003',
  unrecordable: 'SP004',
  unavailable: 'SP004',
  budget: 'SP005',
  killed: 'SP006',
  unreadable: 'SP007',
  too_large: 'SP007',
  identity: '28000',
  grant: '28000',
  cancelled: '57014',
}

/** invalid_password: of a token that was given as one. */
export const INVALID_PASSWORD = '28P01'

/** `FATAL` only where the session ends with it. `state`: another SQLSTATE than the refusal's own. */
export function errorResponse(
  refusal: Refusal,
  severity: 'ERROR' | 'FATAL' = 'ERROR',
  state = refusal.position === undefined ? SQLSTATE[refusal.code] : '42601',
): Buffer {
  return encodeErrorResponse({
    S: severity,
    V: severity,
    C: state,
    ...(refusal.position === undefined ? texts(refusal.message, refusal) : syntax(refusal.message, refusal.position)),
  })
}

/** What a client sees while its operation is held. */
export function waitingNotice(message: string, refusal: Refusal): Buffer {
  return encodeNoticeResponse({ S: 'NOTICE', V: 'NOTICE', C: SQLSTATE.approval_required, ...texts(message, refusal) })
}

/** DETAIL and HINT that PostgreSQL's grammar (gram.y) gives with an error; the parser's library leaves them out. */
const SAID_BESIDES: readonly { readonly of: RegExp; readonly fields: Readonly<Record<string, string>> }[] = [
  { of: /^missing argument$/, fields: { H: 'Use NONE to denote the missing argument of a unary operator.' } },
  {
    of: /^unrecognized row security option /,
    fields: { H: 'Only PERMISSIVE or RESTRICTIVE policies are supported currently.' },
  },
  {
    of: /^invalid publication object list$/,
    fields: { D: 'One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or schema name.' },
  },
]

/** A syntax error is told as PostgreSQL tells it: the text and the place say it all. */
function syntax(message: string, position: number): Record<string, string> {
  return { M: message, P: String(position), ...SAID_BESIDES.find(({ of }) => of.test(message))?.fields }
}

/** MESSAGE alone suffices; DETAIL is the whole refusal as JSON on one line; HINT the first remedy. */
function texts(message: string, refusal: Refusal): Record<string, string> {
  const [remedy] = refusal.remedy
  const hint = remedy && ('hint' in remedy ? remedy.hint : remedy.command)
  return { M: message, D: JSON.stringify(refusal), ...(hint ? { H: hint } : {}) }
}
