import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { text } from 'node:stream/consumers'
import * as z from 'zod'
import { isLoopback } from '../config/loopback.ts'
import { Fault } from '../gateway/fault.ts'
import type { GatewayAddress } from './gateway-address.ts'

/** What the gateway said no with: as much of a problem (RFC 9457) as is shown. */
export type Refused = {
  readonly status: number
  readonly code?: string
  readonly message: string
  readonly remedy: readonly Readonly<Record<string, string>>[]
}

export type Answer = { readonly body: unknown } | { readonly refused: Refused }

/** The admin API as the commands use it. Throws Fault `closed` when the gateway cannot be reached or understood. */
export interface GatewayClient {
  get(path: string): Promise<Answer>
  post(path: string, body: object): Promise<Answer>
  delete(path: string): Promise<Answer>
}

const TIMEOUT_MS = 10_000

const Problem = z.object({
  code: z.string().optional(),
  message: z.string(),
  remedy: z.array(z.record(z.string(), z.string())).default([]),
})

export function gatewayClient(address: GatewayAddress, token: string): GatewayClient {
  return {
    get: (path) => call(address, token, 'GET', path),
    post: (path, body) => call(address, token, 'POST', path, JSON.stringify(body)),
    delete: (path) => call(address, token, 'DELETE', path),
  }
}

async function call(
  address: GatewayAddress,
  token: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: string,
): Promise<Answer> {
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json',
    ...(body !== undefined && { 'content-type': 'application/json' }),
  }
  try {
    const response = await send(address, path, { method, headers, signal: AbortSignal.timeout(TIMEOUT_MS) }, body)
    return answer(response.statusCode ?? 0, JSON.parse(await text(response)))
  } catch (error) {
    if (error instanceof Fault) throw error
    const why = error instanceof Error ? error.message : 'no reason known'
    throw new Fault('closed', `The gateway at ${address.url.origin} does not answer: ${why}`, error)
  }
}

async function send(
  { url, ca, name }: GatewayAddress,
  path: string,
  options: RequestOptions,
  body: string | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const target = new URL(`${url.pathname.replace(/\/+$/, '')}${path}`, url)
  const trust = {
    ...(ca !== undefined && { ca }),
    ...(name !== undefined && { servername: name }),
    // On this machine plain http is accepted too, so a self-signed certificate takes nothing away.
    ...(isLoopback(url.hostname) && { rejectUnauthorized: false }),
  }
  const request =
    target.protocol === 'https:' ? httpsRequest(target, { ...options, ...trust }) : httpRequest(target, options)
  request.on('response', resolve).on('error', reject).end(body)
  return await promise
}

function answer(status: number, body: unknown): Answer {
  if (status === 200 || status === 201) return { body }
  const problem = Problem.safeParse(body)
  if (!problem.success) throw new Fault('closed', `The gateway answered ${status}, not as the API would.`)
  const { code, message, remedy } = problem.data
  return { refused: { status, message, remedy, ...(code !== undefined && { code }) } }
}
