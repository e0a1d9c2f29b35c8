import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { HeaderCredential } from '../../credentials/bearer.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Permit } from '../../gateway/permit.ts'
import type { HttpRequest } from './client.ts'
import type { HttpTarget } from './http-target.ts'
import { SILENT_TARGET_MS } from './limits.ts'

/**
 * The only way to the target. Resolves with the head of its answer; the body is still to be read. Throws Fault `target`
 * whose cause has the `code` of what went wrong; `closed` when `signal` aborts.
 */
export function sendRequest(
  _permit: Permit,
  target: HttpTarget,
  credential: HeaderCredential,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const open = target.url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const sent = open({
      host: target.url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: target.url.port,
      method: request.method,
      path: target.base + request.path,
      agent: target.agent,
      headers: headersFor(target, credential, request).flat(),
      signal,
    })
    sent.setTimeout(SILENT_TARGET_MS, () => sent.destroy(silent()))
    sent.once('error', (error: Error) => reject(fault(target, error, signal)))
    sent.once('response', resolve)
    sent.once('close', () => reject(fault(target, hungUp(), signal))) // 101: node hangs up and says nothing
    sent.end(request.body)
  })
}

/** The credential comes last and alone: whatever the client sent under that name is gone. */
function headersFor(
  { url, classes, detect }: HttpTarget,
  { name, value }: HeaderCredential,
  { method, fields, body }: HttpRequest,
): readonly (readonly [string, string])[] {
  const searched = classes.length > 0 || detect.length > 0
  const unwanted = searched ? [name, 'range', 'if-range'] : [name] // a part of an answer cannot be searched
  const bodyless = body.length === 0 && ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
  return [
    ['host', url.host],
    ...fields.filter(([own]) => !unwanted.includes(own)),
    ['accept-encoding', 'identity'],
    ...(bodyless ? [] : [['content-length', String(body.length)] as const]),
    [name, value.reveal()],
  ]
}

function silent(): Error {
  return Object.assign(new Error('it said nothing for too long'), { code: 'ETIMEDOUT' })
}

function hungUp(): Error {
  return Object.assign(new Error('it hung up'), { code: 'ECONNRESET' })
}

/** Never the error's own text: it may repeat what was sent. */
function fault({ name }: HttpTarget, error: NodeJS.ErrnoException, signal: AbortSignal): Fault {
  if (signal.aborted) return new Fault('closed', 'the session ended', error)
  return new Fault('target', `target ${name} did not answer (${error.code ?? 'unknown reason'})`, error)
}
