import { createHash } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { HeaderCredential } from '../../credentials/bearer.ts'
import type { Address, Identity, Refusal } from '../../gateway/domain.ts'
import type { Exchange } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import { noSuchTarget, turnAway, type Gateway } from '../../gateway/gateway.ts'
import { authenticateBearer, elsewhere } from '../../gateway/grant-use.ts'
import { newId } from '../../gateway/ids.ts'
import { Queue } from '../../gateway/queue.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Session } from '../../gateway/session.ts'
import { readBody } from '../../http/body.ts'
import { fieldsOf, valuesOf } from '../../http/fields.ts'
import { firstEvent } from '../../http/first-event.ts'
import { bearerToken, firstSegment, readPlace, readRequest, wantsTicket, type Place } from './client.ts'
import { HttpExchange, type Seat } from './exchanges.ts'
import type { HttpTarget } from './http-target.ts'
import { PIPELINED, REQUEST_BYTES, SESSIONS } from './limits.ts'
import { refusedOperation, requestOperation } from './operations.ts'
import { answerRefusal } from './refusal.ts'

export type HttpGateway = Gateway<HttpTarget, HeaderCredential>

/** Paths by their first segment, none of which is the name of a target: the gateway answers them itself. */
export type OwnPaths = { readonly segments: readonly string[]; readonly answer: RequestListener }

type Opened = Seat & { readonly exchanges: Queue<Exchange> }
type Refused = { readonly refusal: Refusal }

/** One client connection: requests one after the other, a session for each pair of target and token among them. */
export class Connection {
  readonly #client: Socket
  readonly #gateway: HttpGateway
  readonly #admitted: () => void
  readonly #own: OwnPaths
  /** By target and hash of the token. */
  readonly #seats = new Map<string, Opened>()
  readonly #ends = new Set<Promise<void>>()
  /** Once its socket is closed nobody knows it. */
  readonly #address: Address
  #turn: Promise<void> = Promise.resolve()
  #waiting = 0
  /** A session has ended, or something broke: the connection ends with what it is answering now. */
  #over = false
  #defect: { readonly error: unknown } | undefined

  constructor(client: Socket, gateway: HttpGateway, admitted: () => void, own: OwnPaths) {
    this.#client = client
    this.#address = `${client.remoteAddress ?? ''}:${client.remotePort ?? ''}`
    this.#own = own
    this.#gateway = gateway
    this.#admitted = admitted
    client.once('close', () => this.#left())
    gateway.draining.addEventListener('abort', () => this.#rest(), { once: true })
  }

  /** Answers a request when those before it are answered. */
  take(request: IncomingMessage, response: ServerResponse): void {
    if (++this.#waiting > PIPELINED) return void this.#client.destroy()
    response.on('error', () => undefined)
    this.#turn = this.#turn
      .then(() => this.#answer(request, response))
      .catch((error: unknown) => this.#broken(error, response))
      .then(() => {
        this.#waiting--
        this.#rest()
      })
  }

  /** Resolves when every session has ended and its lease is revoked. Throws what broke this connection. */
  async ended(): Promise<void> {
    await this.#turn
    await Promise.all(this.#ends)
    if (this.#defect) throw this.#defect.error
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#client.destroyed) return
    const done = firstEvent(response, 'close')
    if (this.#own.segments.includes(firstSegment(request))) {
      this.#own.answer(request, response)
      return done
    }
    const seat = await this.#seat(request)
    if ('refusal' in seat) {
      answerRefusal(response, seat.refusal)
      return done
    }
    const exchange = await this.#exchange(seat, request, response)
    const ended = (): void => answerRefusal(response, seat.session.stopped.reason as Refusal, { close: true })
    seat.session.stopped.addEventListener('abort', ended, { once: true })
    if (!seat.exchanges.pushNow(exchange)) ended()
    await done
    seat.session.stopped.removeEventListener('abort', ended)
  }

  /** Who asks, for what, and may it: in this order. */
  async #seat(request: IncomingMessage): Promise<(Opened & { readonly place: Place }) | Refused> {
    const place = readPlace(request)
    const name = 'refusal' in place ? '' : place.target
    const presented = bearerToken(fieldsOf(request.rawHeaders))
    if ('refusal' in presented) return this.#turnAway(name, presented.refusal)
    const { token } = presented
    const key = `${name} ${createHash('sha256').update(token).digest('base64')}`
    const seated = this.#seats.get(key)
    if (seated && !('refusal' in place)) return { ...seated, place }
    const authenticated = await authenticateBearer(this.#gateway.core, token)
    if ('refusal' in authenticated) return this.#turnAway(name, authenticated.refusal)
    this.#admitted()
    const { identity, grant } = authenticated
    if ('refusal' in place) return this.#turnAway(name, place.refusal, identity)
    const astray = elsewhere(grant, name)
    if (astray) return this.#turnAway(name, astray, identity)
    const target = this.#gateway.target(name)
    if (!target) return this.#turnAway(name, noSuchTarget(identity, name), identity)
    if (this.#gateway.draining.aborted) return { refusal: draining() }
    const [application] = valuesOf(fieldsOf(request.rawHeaders), 'user-agent')
    const client = this.#address
    const opened = await this.#gateway.open({ identity, grant, target, protocol: 'http', client, application })
    if ('refusal' in opened) return opened
    return { ...this.#take(key, { session: opened.session, target, credential: opened.credential }), place }
  }

  async #turnAway(target: string, refusal: Refusal, identity?: Identity): Promise<Refused> {
    return { refusal: await turnAway(this.#gateway.core, { target, client: this.#address, identity }, refusal) }
  }

  /** One too many, and the oldest ends: nothing of it is under way while another is asked for. */
  #take(key: string, seat: Seat): Opened {
    const { session } = seat
    const exchanges = new Queue<Exchange>(PIPELINED)
    const opened = { ...seat, exchanges }
    const [oldest] = this.#seats
    if (oldest && this.#seats.size >= SESSIONS) {
      this.#seats.delete(oldest[0])
      oldest[1].exchanges.close()
    }
    this.#seats.set(key, opened)
    session.stopped.addEventListener('abort', () => this.#stopped(key, opened), { once: true })
    if (this.#client.destroyed) session.stop(refuse('cancelled', 'The client went away.'))
    const ended = run(session, exchanges)
    this.#ends.add(ended)
    ended.then(
      () => this.#ends.delete(ended),
      () => undefined, // thrown where the connection ends
    )
    return opened
  }

  #stopped(key: string, opened: Opened): void {
    opened.exchanges.close()
    if (this.#seats.get(key) !== opened) return
    this.#over = true
    this.#rest()
  }

  async #exchange(
    seat: Opened & { place: Place },
    message: IncomingMessage,
    response: ServerResponse,
  ): Promise<Exchange> {
    const fields = fieldsOf(message.rawHeaders)
    const method = message.method!
    const body = await readBody(message, REQUEST_BYTES)
    const read = body === undefined ? { refusal: tooLarge() } : readRequest(method, seat.place.rest, fields, body)
    const making = { response, ticket: wantsTicket(fields), close: body === undefined }
    const id = newId('op', this.#gateway.core.clock.now())
    const target = seat.target.name
    if ('refusal' in read) {
      const raw = { method, url: seat.place.rest, body: body ?? Buffer.alloc(0) }
      return new HttpExchange(seat, { ...making, operation: refusedOperation(id, target, raw, read.refusal) })
    }
    return new HttpExchange(seat, { ...making, operation: requestOperation(id, target, read), request: read })
  }

  /** The client left: what is held is withdrawn, what runs is given up, the leases are revoked. */
  #left(): void {
    for (const { session } of this.#seats.values()) session.stop(refuse('cancelled', 'The client went away.'))
  }

  /** With nothing to answer, an ended session or a gateway that drains leave nothing to stay for. */
  #rest(): void {
    if (this.#waiting === 0 && (this.#over || this.#gateway.draining.aborted)) this.#client.destroySoon()
  }

  #broken(error: unknown, response: ServerResponse): void {
    this.#over = true
    if (!(error instanceof Fault)) this.#defect = { error }
    if (error instanceof Fault && error.code === 'closed') response.destroy()
    else answerRefusal(response, refuse('unavailable', 'The request cannot be answered.'), { close: true })
  }
}

function draining(): Refusal {
  return refuse('unavailable', 'The gateway is shutting down.', [{ do: 'wait', hint: 'Connect again later.' }])
}

function tooLarge(): Refusal {
  const message = `The body of the request is larger than ${REQUEST_BYTES / 1024 / 1024} MiB.`
  return refuse('too_large', message, [{ do: 'change', hint: 'Send it in smaller pieces.' }])
}

/** Leaving the block revokes the lease. */
async function run(session: Session, exchanges: Queue<Exchange>): Promise<void> {
  await using running = session
  await running.run(exchanges)
}
