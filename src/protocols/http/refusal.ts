import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Refusal, RefusalCode } from '../../gateway/domain.ts'
import type { Head } from '../../http/head.ts'

/** What each refusal is in HTTP (docs/reference/refusals.md). */
export const STATUS: Record<RefusalCode, number> = {
  denied: 403,
  approval_required: 403,
  approval_rejected: 403,
  approval_expired: 403,
  frozen: 403,
  grant: 403,
  killed: 403,
  cancelled: 403,
  identity: 401,
  unreadable: 400,
  too_large: 413,
  budget: 429,
  loop: 429,
  unrecordable: 503,
  unavailable: 503,
}

/** A refusal as `application/problem+json` (RFC 9457): its members are extension members. */
export function problem(refusal: Refusal, status = STATUS[refusal.code]): Head & { readonly body: Buffer } {
  const about = { type: 'about:blank', title: STATUS_CODES[status], status, detail: refusal.message }
  const body = Buffer.from(JSON.stringify({ ...about, ...refusal }))
  const fields: [string, string][] = [
    ['content-type', 'application/problem+json'],
    ['content-length', String(body.length)],
    ['cache-control', 'no-store'],
  ]
  if (status === 401) fields.push(['www-authenticate', 'Bearer realm="sallyport"'])
  if (refusal.retry_after_s !== undefined) fields.push(['retry-after', String(refusal.retry_after_s)])
  if (status === 202) fields.push(['preference-applied', 'respond-async'])
  if (status === 202 && refusal.approval) fields.push(['location', refusal.approval.url])
  return { status, fields, body }
}

/** `ticket`: the client asked for a ticket instead of waiting. `close`: the connection cannot go on. */
export function answerRefusal(
  response: ServerResponse,
  refusal: Refusal,
  { ticket = false, close = false }: { readonly ticket?: boolean; readonly close?: boolean } = {},
): void {
  if (response.destroyed || response.writableEnded) return
  if (response.headersSent) return void response.destroy()
  const accepted = ticket && refusal.code === 'approval_required'
  const { status, fields, body } = problem(refusal, accepted ? 202 : undefined)
  const more = close ? [['connection', 'close'] as const] : []
  response.writeHead(status, [...fields, ...more].flat())
  response.end(body)
}
