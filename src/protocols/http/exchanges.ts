import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HeaderCredential } from '../../credentials/bearer.ts'
import type { Operation, Preview, Refusal } from '../../gateway/domain.ts'
import type { Exchange, Masked, Outcome, Part, Pause } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Permit } from '../../gateway/permit.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import { sourceOf, type Source } from '../../gateway/source.ts'
import { readBody } from '../../http/body.ts'
import { endToEnd, fieldsOf, type Fields } from '../../http/fields.ts'
import { firstEvent } from '../../http/first-event.ts'
import { decodeHead, encodeHead, type Head } from '../../http/head.ts'
import type { HttpRequest } from './client.ts'
import { Echo } from './echo.ts'
import {
  chunkPart,
  headPart,
  insteadPart,
  lastPart,
  passageOf,
  refusedBytes,
  wholePart,
  type Filter,
} from './egress.ts'
import type { HttpTarget } from './http-target.ts'
import { SEARCHED_BYTES } from './limits.ts'
import { answerRefusal, problem } from './refusal.ts'
import { sendRequest } from './target.ts'

/** A session of this connection, with what it may use at its target. */
export type Seat = { readonly session: Session; readonly target: HttpTarget; readonly credential: HeaderCredential }

/** What an exchange is made of. `request` is absent where the operation has an objection: it is never sent. */
export type Making = {
  readonly operation: Operation
  readonly request?: HttpRequest
  readonly response: ServerResponse
  /** The client would rather have a ticket than wait. */
  readonly ticket: boolean
  /** Nothing more can be read from the client. */
  readonly close: boolean
}

type Received = { readonly answer: IncomingMessage } | { readonly failure: Fault }

/** Challenges of the target, to which the gateway alone knows the answer. */
const WITHHELD: ReadonlySet<string> = new Set(['www-authenticate', 'authentication-info', 'proxy-authentication-info'])

/** One request and its answer. */
export class HttpExchange implements Exchange {
  readonly operation: Operation
  readonly #seat: Seat
  readonly #making: Making
  #received: Promise<Received> | undefined
  #begun = false

  constructor(seat: Seat, making: Making) {
    this.operation = making.operation
    this.#seat = seat
    this.#making = making
  }

  async pause(): Promise<Pause> {
    return this.#making.ticket ? 'busy' : 'idle'
  }

  async preview(): Promise<Preview> {
    return { note: 'An HTTP target gives no estimate.' }
  }

  /** An HTTP target tells nothing beforehand. */
  async measure(): Promise<Operation> {
    return this.operation
  }

  /** The client hears nothing before its answer: HTTP has no word that all clients bear. */
  notify(): void {}

  send(permit: Permit): void {
    const { target, credential, session } = this.#seat
    const { request } = this.#making
    if (!request) throw new Fault('protocol', 'a request that was not read cannot be sent')
    this.#received = sendRequest(permit, target, credential, request, session.stopped).then(
      (answer) => ({ answer }),
      (failure: Fault) => ({ failure }),
    )
  }

  /** Nothing of it reached the target. */
  fail(): void {}

  async refuse(refusal: Refusal): Promise<void> {
    const { response, ticket, close } = this.#making
    answerRefusal(response, refusal, { ticket, close })
  }

  answer(): Source<Part> {
    return sourceOf(this.#whole())
  }

  async *#whole(): AsyncGenerator<Part> {
    const received = await this.#received!
    if ('answer' in received) yield* this.#parts(received.answer)
    else yield failurePart(received.failure)
    this.#making.response.end()
  }

  /** The first bytes of an answer are its head; node frames what follows. */
  async reply({ bytes }: Masked): Promise<void> {
    const { response } = this.#making
    if (response.destroyed) return
    let body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    if (!this.#begun) {
      const head = decodeHead(body)
      response.writeHead(head.status, head.fields.flat())
      body = head.body
      this.#begun = true
    }
    if (body.length === 0 || response.write(body)) return
    await firstEvent(response, 'drain', 'close')
  }

  async *#parts(answer: IncomingMessage): AsyncGenerator<Part> {
    const { target, credential, session } = this.#seat
    const { masker } = session.opening
    const filter: Filter = { target, echo: new Echo(credential.secrets.map((secret) => secret.reveal())) }
    const head = headOf(answer, target)
    const outcome = outcomeOf(head.status)
    const passage = passageOf(head, target, masker)
    if (this.#isBodyless(head)) {
      answer.resume()
      yield headPart(passage.as === 'stream' ? head : withoutLength(head), filter, outcome)
    } else if (passage.as === 'stream') {
      yield* this.#stream(answer, head, filter)
    } else if (passage.as === 'refused' && !isEmpty(head)) {
      answer.destroy()
      yield insteadPart(refusedBytes(passage.why), outcome)
    } else {
      yield await whole(answer, head, filter, outcome)
    }
  }

  async *#stream(answer: IncomingMessage, head: Head, filter: Filter): AsyncGenerator<Part> {
    yield headPart(head, filter)
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) yield chunkPart(chunk, filter)
      yield lastPart(filter, outcomeOf(head.status))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'ECONNRESET'
      yield lastPart(filter, { status: 'unknown', code })
      this.#making.response.destroy()
    }
  }

  /** RFC 9110 section 6.4.1. */
  #isBodyless({ status }: Head): boolean {
    return this.#making.request?.method === 'HEAD' || status === 204 || status === 304
  }
}

async function whole(answer: IncomingMessage, head: Head, filter: Filter, outcome: Outcome): Promise<Part> {
  try {
    const body = await readBody(answer, SEARCHED_BYTES)
    if (body !== undefined) return wholePart(head, body, filter, outcome)
    answer.destroy()
    return insteadPart(refusedBytes(`is longer than ${SEARCHED_BYTES / 1024 / 1024} MiB`), outcome)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return insteadPart(refusedBytes('broke off'), { status: 'unknown', code: 'ECONNRESET' })
  }
}

function headOf(answer: IncomingMessage, target: HttpTarget): Head {
  const fields = endToEnd(fieldsOf(answer.rawHeaders)).filter(([name]) => !WITHHELD.has(name))
  return { status: answer.statusCode!, fields: fields.map((field) => withinGateway(field, target)) }
}

/** A link to the target itself becomes one to the gateway, or the client would go where it has no credential. */
function withinGateway([name, value]: Fields[number], { name: target, url, base }: HttpTarget): Fields[number] {
  if (name !== 'location' && name !== 'content-location') return [name, value]
  const path = value.startsWith(`${url.origin}/`) ? value.slice(url.origin.length) : value
  const inside = path.startsWith('/') && !path.startsWith('//') && (path === base || path.startsWith(`${base}/`))
  return [name, inside ? `/${target}${path.slice(base.length)}` : value]
}

function outcomeOf(status: number): Outcome {
  return { status: status < 400 ? 'done' : 'failed', code: String(status) }
}

/** The length of what would have been masked says something of it. */
function withoutLength({ status, fields }: Head): Head {
  return { status, fields: fields.filter(([name]) => name !== 'content-length') }
}

function isEmpty({ fields }: Head): boolean {
  return fields.some(([name, value]) => name === 'content-length' && value === '0')
}

const NEVER_ARRIVED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

/** 503: nothing was sent. 504, 502: it was, and nobody knows what became of it. */
function failurePart(failure: Fault): Part {
  const code = (failure.cause as NodeJS.ErrnoException | undefined)?.code ?? failure.code
  const status = NEVER_ARRIVED.has(code) ? 503 : code === 'ETIMEDOUT' ? 504 : 502
  const again = refuse('unavailable', `${sentence(failure.message)} Nothing was sent.`, [
    { do: 'wait', hint: 'Try again later.' },
  ])
  const unsure = refuse(
    'unavailable',
    `${sentence(failure.message)} What was asked for may have been done.`,
    [{ do: 'change', hint: 'Find out whether it was done before you send it again.' }],
    { retry: 'after-change' },
  )
  const said = problem(status === 503 ? again : unsure, status)
  const outcome = { status: status === 503 ? 'failed' : 'unknown', code } as const
  return insteadPart(Buffer.concat([encodeHead(said), said.body]), outcome)
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
}
