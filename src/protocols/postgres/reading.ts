import type { Exchange, Input } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import { refuse } from '../../gateway/refusals.ts'
import { soon, type Soon, type Source } from '../../gateway/source.ts'
import type { Result } from './answers.ts'
import type { Connection } from './connection.ts'
import { NOTHING_ELSE, readInput } from './copy-in.ts'
import { fieldsOf } from './descriptions.ts'
import type { Portal, Prepared } from './portals.ts'
import { encodeDescribe, encodeParse, encodeQuery } from './encode.ts'
import { PostgresExchange, type Outgoing } from './exchanges.ts'
import { body, type Frame } from './frames.ts'
import { readFunctionCall } from './function-calls.ts'
import type { Event } from './incoming.ts'
import { BACKEND, frontendName } from './message-types.ts'
import {
  decodeBind,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeParse,
  decodeQuery,
  formatOf,
  type Bind,
  type Parse,
} from './messages-client.ts'
import type { Proposal } from './names.ts'
import { look, operationOf, understand, understandPortal, unreadable, type Understood } from './operations.ts'

/** Messages kept back, at most, until it is known what they are for. */
const KEPT = 500

/**
 * The client's messages, in order, as exchanges, and as input of those that run. Bind and Describe of a portal are kept
 * back for the Execute they belong to, so that an operation that has to wait has sent nothing yet.
 */
export class ExchangeReader implements Source<Exchange | Input> {
  readonly #connection: Connection
  #kept: Outgoing[] = []
  /** A message before which what was kept had to go out: it is read now. */
  #again: Event | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Reads messages until they make an exchange. */
  next(): Soon<Exchange | Input | undefined> {
    for (;;) {
      const event = this.#nextEvent()
      if (event instanceof Promise) return event.then((event) => (event ? this.#goOn(this.#read(event)) : this.#end()))
      if (!event) return this.#end()
      const exchange = this.#read(event)
      if (exchange) return this.#goOn(exchange)
    }
  }

  /** A target that waits for input waits in vain. */
  #end(): undefined {
    this.#connection.copyIn.leave()
  }

  #goOn(exchange: Soon<Exchange | Input | undefined>): Soon<Exchange | Input | undefined> {
    return soon(exchange, (exchange) => exchange ?? this.next())
  }

  #nextEvent(): Soon<Event | undefined> {
    const again = this.#again
    this.#again = undefined
    return again ?? soon(this.#connection.copyIn.certain(), () => this.#connection.next())
  }

  /** The exchange that a message completes, if it does. */
  #read(event: Event): Soon<Exchange | Input | undefined> {
    const connection = this.#connection
    const { from, frame, more = [] } = event
    if (from === 'target') return unsolicited(connection, frame)
    const name = frontendName(frame.type)
    if (connection.skipping && name !== 'Sync') return undefined
    if (connection.copyIn.forbids(name)) throw new Fault('protocol', `${NOTHING_ELSE}, and not ${name ?? frame.type}`)
    if (connection.copyIn.ignores(name)) return undefined
    switch (name) {
      case 'Query':
        this.#refuseMixing()
        return readQuery(connection, frame)
      case 'Parse':
        return this.#kept.length > 0 ? this.#flushBefore(event) : readParse(connection, frame)
      case 'Execute':
        return this.#execute(event)
      case 'Bind':
        if (frame.dropped)
          return this.#kept.length > 0 ? this.#flushBefore(event) : tooLong(connection, frame, 'extended')
        return soon(keepBind(connection, frame), (bind) => this.#keep(bind))
      case 'Describe':
        return soon(keepDescribe(connection, frame), (describe) => this.#keep(describe))
      case 'Close':
        return this.#keep(keepClose(connection, frame))
      case 'Flush':
        this.#kept.push({ bytes: frame.bytes })
        return this.#flush()
      case 'Sync':
        connection.skipping = false
        this.#kept.push({ bytes: frame.bytes, sent: 'Sync' })
        return this.#flush()
      case 'FunctionCall':
        this.#refuseMixing()
        return frame.dropped ? tooLong(connection, frame, 'simple') : readFunctionCall(connection, frame)
      case 'CopyData':
      case 'CopyDone':
      case 'CopyFail':
        return readInput(connection, [frame, ...more])
      default:
        throw new Fault('protocol', `a client does not send ${name ?? frame.type} here`)
    }
  }

  #execute(event: Event): Soon<Exchange> {
    const { frame } = event
    return soon(portalOf(this.#connection, frame), (portal) => {
      if (this.#kept.length > 0 && !portal) return this.#flushBefore(event)
      const kept = this.#kept
      this.#kept = []
      return readExecute(this.#connection, frame, kept)
    })
  }

  #keep(message: Outgoing): Exchange | undefined {
    this.#kept.push(message)
    return this.#kept.length >= KEPT ? this.#flush() : undefined
  }

  #flushBefore(event: Event): Exchange {
    this.#again = event
    return this.#flush()
  }

  #flush(): Exchange {
    const messages = this.#kept
    this.#kept = []
    const harmlessTexts = !messages.some(({ sent }) => sent === 'Sync')
    return new PostgresExchange(this.#connection, { style: 'keeping', messages, harmlessTexts })
  }

  #refuseMixing(): void {
    if (this.#kept.length === 0 && this.#connection.unsettled.messages === 0) return
    throw new Fault('protocol', 'a Query inside a batch of the extended protocol that has no Sync yet')
  }
}

/** A message the target sent of its own accord goes the same way as every answer: masked, recorded, replied. */
function unsolicited(connection: Connection, frame: Frame): Exchange {
  if (frame.type === BACKEND.ErrorResponse) throw new Fault('target', 'the target ended the connection')
  return new PostgresExchange(connection, { style: 'keeping', messages: [], received: [frame] })
}

function readQuery(connection: Connection, frame: Frame): Soon<Exchange> {
  if (frame.dropped) return tooLong(connection, frame, 'simple')
  return soon(understand(connection, decodeQuery(frame)), (understood) => queryOf(connection, frame, understood))
}

function queryOf(connection: Connection, frame: Frame, understood: Understood): Exchange {
  const { proposals } = understood
  const message: Outgoing = {
    bytes: understood.sent === undefined ? frame.bytes : encodeQuery(understood.sent),
    sent: 'Query',
    done: (result) => settle(connection, understood, result),
  }
  if (isEmpty(understood)) return new PostgresExchange(connection, { style: 'simple', messages: [message] })
  return new PostgresExchange(connection, {
    style: 'simple',
    messages: [message],
    operation: operationOf(connection, understood, 'execute'),
    sense: understood,
    readAt: understood.readAt,
    completed: (statement) =>
      proposals.filter((change) => change.statement === statement).forEach(({ proposal }) => proposal.confirm()),
  })
}

function readParse(connection: Connection, frame: Frame): Soon<Exchange> {
  if (frame.dropped) return tooLong(connection, frame, 'extended')
  const parse = decodeParse(frame)
  return soon(understand(connection, parse.query), (understood) => parseOf(connection, frame, parse, understood))
}

function parseOf(connection: Connection, frame: Frame, parse: Parse, understood: Understood): Exchange {
  const { name, query, types } = parse
  const prepared = { text: query, statement: understood.statements[0], types, described: {} }
  const proposal = connection.statements.propose(name, prepared, connection.batch)
  const bytes = understood.sent === undefined ? frame.bytes : encodeParse(name, understood.sent, types)
  const message: Outgoing = { bytes, sent: 'Parse', done: confirming(proposal) }
  understood.proposals.forEach((change) => change.proposal.drop())
  if (isEmpty(understood)) return new PostgresExchange(connection, { style: 'keeping', messages: [message] })
  const operation = operationOf(connection, understood, 'prepare')
  return new PostgresExchange(connection, { style: 'extended', messages: [message], operation, harmlessTexts: true })
}

function portalOf(connection: Connection, frame: Frame): Soon<Portal | undefined> {
  return look(connection, 'portals', decodeExecute(frame).portal)
}

function readExecute(connection: Connection, frame: Frame, kept: readonly Outgoing[]): Soon<Exchange> {
  const { portal: name } = decodeExecute(frame)
  return soon(portalOf(connection, frame), (portal) => {
    if (!portal) return noSuchPortal(connection, name)
    // The target may have skipped the Execute that began it: then this one is the first.
    const begunBefore = portal.started && portal.startedIn !== connection.batch
    const certain = begunBefore && !connection.answers.quiet ? connection.caughtUp() : undefined
    return soon(certain, () =>
      executePortal(connection, frame, portal, [...kept, ...describe(connection, portal, name)]),
    )
  })
}

function executePortal(
  connection: Connection,
  frame: Frame,
  portal: Portal,
  before: readonly Outgoing[],
): Soon<Exchange> {
  if (portal.started || !portal.prepared.statement) {
    const messages = [...before, { bytes: frame.bytes, sent: 'Execute' } as const]
    return new PostgresExchange(connection, { style: 'keeping', messages, portal })
  }
  const understood = understandPortal(connection, portal)
  return soon(understood, (understood) => executeOf(connection, frame, before, { portal, understood }))
}

function executeOf(
  connection: Connection,
  frame: Frame,
  before: readonly Outgoing[],
  { portal, understood }: { readonly portal: Portal; readonly understood: Understood },
): Exchange {
  const done: Outgoing['done'] = (result) => settle(connection, understood, result)
  return new PostgresExchange(connection, {
    style: 'extended',
    messages: [...before, { bytes: frame.bytes, sent: 'Execute', done }],
    portal,
    operation: operationOf(connection, understood, 'execute', portal),
    sense: understood,
    readAt: understood.readAt,
    completed: () => understood.proposals.forEach(({ proposal }) => proposal.confirm()),
  })
}

/** The target has answered, or never will: what it has not completed did not happen. */
function settle(connection: Connection, { proposals, changesSchema }: Understood, result: Result): void {
  proposals.forEach(({ proposal }) => proposal.drop())
  if (result === 'skipped' || !changesSchema) return
  // What may have changed names or columns makes the catalog old: now, and again when its transaction ends.
  connection.changedSchema = true
  connection.target.catalog.expire()
}

function confirming(proposal: Proposal): (result: Result) => void {
  return (result) => (result === 'done' ? proposal.confirm() : proposal.drop())
}

/**
 * Rows can be masked only where their columns are known: a portal whose description is not there, nor on its way in this
 * batch, is described first. So is a cursor each time, because SQL may have put another one in its place.
 */
function describe(connection: Connection, portal: Portal, name: string): Outgoing[] {
  if (portal.describing === connection.batch || (portal.fields && portal.bind)) return []
  return [{ ...describing(connection, portal, encodeDescribe('P', name)), hidden: true }]
}

function describing(connection: Connection, portal: Portal, bytes: Buffer): Outgoing {
  portal.describing = connection.batch
  return { bytes, sent: 'DescribePortal', frame: keepFields(portal) }
}

function keepFields(portal: Portal): (frame: Frame) => void {
  const { described = {} } = portal.prepared
  return (frame) => {
    if (frame.type === BACKEND.RowDescription) portal.fields = fieldsOf(described, frame)
    if (frame.type === BACKEND.NoData) portal.fields = []
  }
}

/** Of a statement the gateway does not know it does not know the portal either. */
function keepBind(connection: Connection, frame: Frame): Soon<Outgoing> {
  const bind = decodeBind(frame)
  return soon(look(connection, 'statements', bind.statement), (prepared) => bindOf(connection, frame, bind, prepared))
}

function bindOf(connection: Connection, frame: Frame, bind: Bind, prepared: Prepared | undefined): Outgoing {
  const formats = bind.parameters.map((_, place) => formatOf(bind, place))
  const portal = prepared && {
    prepared,
    parameters: readable(bind),
    formats,
    bind: frame.bytes,
    boundAt: connection.target.moving.now,
    started: false,
  }
  const proposal = connection.portals.propose(bind.portal, portal, connection.batch)
  return { bytes: frame.bytes, sent: 'Bind', done: confirming(proposal) }
}

/** Text as it is, binary as `\x…`: what an approver reads and the digest covers. */
function readable(bind: Bind): (string | null)[] {
  return bind.parameters.map((value, place) => {
    if (value === null) return null
    return formatOf(bind, place) === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8')
  })
}

function keepDescribe(connection: Connection, frame: Frame): Soon<Outgoing> {
  const { kind, name } = decodeDescribe(frame)
  if (kind === 'S') return { bytes: frame.bytes, sent: 'DescribeStatement' }
  return soon(look(connection, 'portals', name), (portal) =>
    portal ? describing(connection, portal, frame.bytes) : { bytes: frame.bytes, sent: 'DescribePortal' },
  )
}

function keepClose(connection: Connection, frame: Frame): Outgoing {
  const { kind, name } = decodeClose(frame)
  const names = kind === 'S' ? connection.statements : connection.portals
  const proposal = names.propose(name, undefined, connection.batch)
  return { bytes: frame.bytes, sent: 'Close', done: confirming(proposal) }
}

/** Only the beginning was kept: that is what the record shows. */
function tooLong(connection: Connection, frame: Frame, style: 'simple' | 'extended'): Exchange {
  const size = frame.bytes.length + (frame.dropped ?? 0)
  const hint = 'Send less at once: smaller statements, fewer or smaller values.'
  const message = `A ${frontendName(frame.type)} of ${size} bytes is more than is read of one.`
  const objection = refuse('too_large', message, [{ do: 'change', hint }])
  const text = `${body(frame).toString('utf8').replaceAll('\0', ' ')}… (${size} bytes)`
  const understood = unreadable(connection.target.resource, text, { objection })
  const operation = operationOf(connection, understood, style === 'simple' ? 'execute' : 'prepare')
  return new PostgresExchange(connection, { style, messages: [], operation })
}

/** Nothing of it is sent: a Bind before it was, so that the target's own error comes first if there is one. */
function noSuchPortal(connection: Connection, name: string): Exchange {
  const objection = refuse('unreadable', `The gateway knows no portal "${name}" of this session.`, [
    { do: 'change', hint: 'Bind it first.' },
  ])
  const understood = unreadable(connection.target.resource, `Execute of portal "${name}"`, {
    objection,
  })
  return new PostgresExchange(connection, {
    style: 'extended',
    messages: [],
    operation: operationOf(connection, understood, 'execute'),
  })
}

/** A text without a statement: the target answers it by EmptyQueryResponse. */
function isEmpty({ statements, objection }: Understood): boolean {
  return statements.length === 0 && objection === undefined
}
